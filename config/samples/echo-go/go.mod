module github.com/appnet-org/appnet/config/samples/echo-go

go 1.26.0

require (
	github.com/appnet-org/appnet/go/appnet v0.0.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/valkey-io/valkey-go v1.0.64 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)

// In a clone of AppNet, the module beside it. Elsewhere, take a release and leave this line out.
replace github.com/appnet-org/appnet/go/appnet => ../../../go/appnet
