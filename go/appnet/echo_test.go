//go:build linux

package appnet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
)

// TestEcho is one end of calls in a process of its own, whose CPU time somebody else reads: APPNET_ECHO is server or client.
// APPNET_ECHO_CHAINS is the folder with the chains that it runs, "hand" for the same by hand, or empty.
//
// A server prints its address. A client makes calls as each line of its input says, and answers with a line.
func TestEcho(t *testing.T) {
	switch os.Getenv("APPNET_ECHO") {
	case "server":
		echoServer(t, os.Getenv("APPNET_ECHO_CHAINS"))
	case "client":
		echoClient(t)
	default:
		t.Log("APPNET_ECHO=server or client measures")
	}
}

type echoService struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (echoService) UnaryCall(_ context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: in.Payload}, nil
}

func echoServer(t *testing.T, chains string) {
	var options []grpc.ServerOption
	switch chains {
	case "":
	case "hand":
		options = append(options, grpc.UnaryInterceptor(newByHand().unaryServer))
	default:
		options = Serve("server", Embedded(os.DirFS(chains)))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	grpc_testing.RegisterTestServiceServer(server, echoService{})
	go server.Serve(listener)
	fmt.Println(listener.Addr())
	io.Copy(io.Discard, os.Stdin) // to the end of whoever measures
	server.Stop()
}

// calling is a line of a client's input. Rate: calls in a second, over all streams; 0: as many as there can be.
type calling struct {
	Target, Chains string
	Calls, Streams int
	Rate           float64
}

func echoClient(t *testing.T) {
	connections := map[[2]string]grpc_testing.TestServiceClient{}
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var it calling
		if err := lines.Decode(&it); err != nil {
			return
		}
		key := [2]string{it.Target, it.Chains}
		if connections[key] == nil {
			connections[key] = echoConnection(t, it)
		}
		took, err := it.run(connections[key])
		if err != nil {
			t.Fatal(err)
		}
		sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
		line, _ := json.Marshal(map[string]any{"p50": took[len(took)/2], "p99": took[len(took)*99/100]})
		fmt.Println(string(line))
	}
}

func echoConnection(t *testing.T, it calling) grpc_testing.TestServiceClient {
	var options []grpc.DialOption
	switch it.Chains {
	case "":
	case "hand":
		options = append(options, grpc.WithUnaryInterceptor(newByHand().unaryClient))
	default:
		options = Dial("frontend", Embedded(os.DirFS(it.Chains)))
	}
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+it.Target, options...)
	if err != nil {
		t.Fatal(err)
	}
	return grpc_testing.NewTestServiceClient(conn)
}

// run makes the calls; how long each took, in nanoseconds.
func (it calling) run(client grpc_testing.TestServiceClient) ([]int64, error) {
	var wait sync.WaitGroup
	each := it.Calls / it.Streams
	took, failed := make([]int64, each*it.Streams), make(chan error, it.Streams)
	for stream := range it.Streams {
		wait.Add(1)
		go func() {
			defer wait.Done()
			message := request(strings.Repeat("x", 100))
			began := time.Now()
			for i := range each {
				if it.Rate > 0 {
					time.Sleep(time.Until(began.Add(time.Duration(float64(i*it.Streams+stream) / it.Rate * 1e9))))
				}
				at := time.Now()
				if _, err := client.UnaryCall(context.Background(), message); err != nil {
					failed <- err
					return
				}
				took[stream*each+i] = int64(time.Since(at))
			}
		}()
	}
	wait.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
		return took, nil
	}
}
