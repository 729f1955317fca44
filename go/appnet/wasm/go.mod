module github.com/appnet-org/appnet/go/appnet/wasm

go 1.24.0

require (
	github.com/appnet-org/appnet/go/appnet v0.2.0
	github.com/tetratelabs/wazero v1.11.0
	google.golang.org/grpc v1.73.0
)

require (
	github.com/valkey-io/valkey-go v1.0.64 // indirect
	golang.org/x/net v0.38.0 // indirect
	golang.org/x/sys v0.38.0 // indirect
	golang.org/x/text v0.23.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20250324211829-b45e905df463 // indirect
	google.golang.org/protobuf v1.36.6 // indirect
)

replace github.com/appnet-org/appnet/go/appnet => ../
