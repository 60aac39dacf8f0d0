module github.com/datapunk/switchgear/link

go 1.26.0

replace github.com/datapunk/switchgear => ../

require (
	connectrpc.com/connect v1.21.1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
