module github.com/datapunk/switchgear/examples

go 1.26.0

replace (
	github.com/datapunk/switchgear => ../
	github.com/datapunk/switchgear/breakergrpc => ../breakergrpc
	github.com/datapunk/switchgear/link => ../link
)

require (
	github.com/datapunk/switchgear v0.0.0
	github.com/datapunk/switchgear/breakergrpc v0.0.0
	github.com/datapunk/switchgear/link v0.0.0
	github.com/redis/go-redis/v9 v9.22.0
	google.golang.org/grpc v1.85.0
)

require (
	connectrpc.com/connect v1.21.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	go.uber.org/atomic v1.11.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261012220534-4341edf3f941 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
