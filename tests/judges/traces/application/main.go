// The echo application's frontend and server, traced by OpenTelemetry's instrumentation of gRPC alone.
//
//	application -collector ADDRESS server        says where it listens, and serves until its standard input ends
//	application -collector ADDRESS client ADDRESS BODY...
//
// The client makes a call for each BODY, in a trace of its own, and prints its trace id and status. Who serves "flaky" is
// unavailable at first: the client's gRPC library tries again.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb" // has the field that echo.Msg has
)

const (
	method  = "/echo.EchoService/echo"
	retries = `{"methodConfig": [{"name": [{"service": "echo.EchoService"}], "retryPolicy": {"maxAttempts": 3,
		"initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
)

func main() {
	collector := flag.String("collector", "", "where it takes OTLP over gRPC")
	flag.Parse()
	ctx := context.Background()
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(*collector), otlptracegrpc.WithInsecure())
	check(err)
	name := resource.NewSchemaless(semconv.ServiceName(flag.Arg(0)))
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(name))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	if flag.Arg(0) == "server" {
		serve()
	} else {
		call(ctx, flag.Arg(1), flag.Args()[2:])
	}
	check(provider.Shutdown(ctx))
}

func call(ctx context.Context, address string, bodies []string) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()), grpc.WithDefaultServiceConfig(retries))
	check(err)
	for _, body := range bodies {
		inside, span := otel.Tracer("frontend").Start(ctx, body)
		err := connection.Invoke(inside, method, wrapperspb.String(body), &wrapperspb.StringValue{})
		span.End()
		fmt.Println(span.SpanContext().TraceID(), status.Code(err))
	}
}

func serve() {
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "echo.EchoService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "echo", Handler: echo}},
	}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() { check(server.Serve(listener)) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	check(err)
	server.GracefulStop()
}

func echo(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	request := &wrapperspb.StringValue{}
	if err := read(request); err != nil {
		return nil, err
	}
	again := len(metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts")) > 0
	if request.Value == "flaky" && !again {
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	return request, nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
