module github.com/datapunk/switchgear/examples

go 1.26.0

replace (
	github.com/datapunk/switchgear => ../
	github.com/datapunk/switchgear/link => ../link
)

require (
	github.com/datapunk/switchgear v0.0.0
	github.com/datapunk/switchgear/link v0.0.0
)

require (
	connectrpc.com/connect v1.21.1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
