// The echo application in Go: an HTTP frontend that calls a gRPC server. Both run AppNet's chains themselves: see the lines
// with appnet.Dial and appnet.Serve.
//
//	go run . server [--name NAME] [--port PORT]
//	go run . frontend --server HOST:PORT [--port PORT]
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/appnet-org/appnet/config/samples/echo-go/pb"
	"github.com/appnet-org/appnet/go/appnet"
)

const callTimeout = 10 * time.Second

// passedOn are the headers by which a call is found again, in traces and by its ID. OpenTelemetry's library does this for you.
var passedOn = []string{"traceparent", "tracestate", "b3", "x-request-id"}

type server struct {
	pb.UnimplementedEchoServiceServer
	name string
}

func (s *server) Echo(context.Context, *pb.Msg) (*pb.Msg, error) {
	return &pb.Msg{Body: "You've hit " + s.name}, nil
}

func serve(name string, port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	s := grpc.NewServer(appnet.Serve("server")...)
	pb.RegisterEchoServiceServer(s, &server{name: name})
	go func() {
		<-told()
		s.GracefulStop()
	}()
	fmt.Printf("{\"address\": %q}\n", listener.Addr())
	return s.Serve(listener)
}

func front(target string, port int) error {
	options := append(appnet.Dial("frontend"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := pb.NewEchoServiceClient(conn)
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		for _, key := range passedOn {
			if value := r.Header.Get(key); value != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, key, value)
			}
		}
		reply, err := client.Echo(ctx, &pb.Msg{Body: r.URL.Query().Get("key")})
		s := status.Convert(err)
		w.Header().Set("grpc-status", strconv.Itoa(int(s.Code())))
		if err != nil {
			w.Header().Set("grpc-message", url.PathEscape(s.Message()))
			fmt.Fprintln(w, "Echo server returns an error.")
			return
		}
		fmt.Fprintln(w, reply.Body)
	})
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	fmt.Printf("{\"address\": %q}\n", listener.Addr())
	go func() {
		<-told()
		listener.Close()
	}()
	if err := http.Serve(listener, nil); err != nil && ended.Err() == nil {
		return err
	}
	return nil
}

var ended, _ = signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)

func told() <-chan struct{} { return ended.Done() }

func main() {
	if len(os.Args) < 2 {
		log.Fatal("say `server` or `frontend`")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	port := flags.Int("port", 0, "where to listen; 0 is a free port")
	name := flags.String("name", "server", "the server's name")
	target := flags.String("server", "", "the server's address, HOST:PORT")
	_ = flags.Parse(os.Args[2:])
	var err error
	switch os.Args[1] {
	case "server":
		err = serve(*name, *port)
	case "frontend":
		err = front(*target, *port)
	default:
		err = fmt.Errorf("no role %q", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}
