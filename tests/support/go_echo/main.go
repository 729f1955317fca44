// An echo server in Go that runs the chains in a folder, until it is told to end. It prints where it listens.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	"github.com/appnet-org/appnet/config/samples/echo-go/pb"
	"github.com/appnet-org/appnet/go/appnet"
)

type echo struct {
	pb.UnimplementedEchoServiceServer
}

func (echo) Echo(_ context.Context, request *pb.Msg) (*pb.Msg, error) { return request, nil }

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(appnet.Serve("server", appnet.Embedded(os.DirFS(os.Args[1])))...)
	pb.RegisterEchoServiceServer(server, echo{})
	fmt.Println(listener.Addr())
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ended, server.GracefulStop)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
	appnet.Close()
}
