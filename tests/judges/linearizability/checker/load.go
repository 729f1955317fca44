package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	patience = 5 * time.Second
	rest     = 20 * time.Millisecond // of a client whose proxy or store is away

	statusExhausted   = "8"
	statusUnavailable = "14"
)

// input is what a call asks for; what its element does not need is empty.
type input struct{ do, key, old, new string }

// output is what became of it.
type output struct {
	seen             string
	refused, unknown bool
}

// load: `allowed` parts of the calls may be made so far.
type load struct {
	kind                    kind
	began                   time.Time
	calls, parts            int
	mutex                   sync.Mutex
	goes                    *sync.Cond
	places                  map[int]string
	answered, told, allowed int
	history                 []porcupine.Operation
	by                      map[int]int // how many calls each proxy has answered
}

func newLoad(kind kind, calls, parts int) *load {
	it := &load{kind: kind, began: time.Now(), calls: calls, parts: parts, places: map[int]string{}, by: map[int]int{}}
	it.goes = sync.NewCond(&it.mutex)
	return it
}

// place says where a proxy is from now on.
func (l *load) place(number int, address string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.places[number] = address
}

// allow lets clients make calls until another part of them was answered, and one ahead.
func (l *load) allow() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.allowed++
	l.goes.Broadcast()
}

// mayGo waits until there may be a call, and says whether there is to be one.
func (l *load) mayGo() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for l.allowed == 0 || l.answered*l.parts > (l.allowed+1)*l.calls {
		l.goes.Wait()
	}
	return l.answered < l.calls
}

// pick draws a proxy, and says where it is.
func (l *load) pick(chance *rand.Rand) (number int, address string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	number = chance.Intn(len(l.places))
	return number, l.places[number]
}

// note keeps what became of a call through a proxy.
func (l *load) note(it porcupine.Operation, proxy int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.history = append(l.history, it)
	if !it.Output.(output).unknown {
		l.answered++
		l.by[proxy]++
	}
	if l.answered*l.parts >= (l.told+1)*l.calls && l.told < l.parts {
		l.told++
		tell(map[string]int{"Part": l.told})
	}
}

func (l *load) now() int64 { return time.Since(l.began).Nanoseconds() }

// client makes calls one after another, each through any of the proxies.
func (l *load) client(number int, seed int64) {
	chance := rand.New(rand.NewSource(seed*1000 + int64(number)))
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	web := &http.Client{Transport: transport}
	known := map[string]string{}
	for count := 0; l.mayGo(); count++ {
		asked := l.kind.next(chance, known, fmt.Sprintf("%d.%d", number, count))
		called := l.now()
		proxy, address := l.pick(chance)
		answer, err := call(web, address, asked)
		if isUnsent(err) {
			time.Sleep(rest)
			continue
		}
		it := porcupine.Operation{ClientId: number, Input: asked, Call: called, Output: answer, Return: l.now()}
		if answer.unknown {
			it.Return = math.MaxInt64
		} else if !answer.refused {
			known[asked.key] = l.kind.step(answer.seen, asked)
		}
		l.note(it, proxy)
		if answer.unknown {
			time.Sleep(rest)
		}
	}
}

// isUnsent says whether nobody can have seen the call.
func isUnsent(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "dial"
}

// call makes one. Where its connection ends or a proxy says UNAVAILABLE, nobody knows whether it happened.
func call(web *http.Client, address string, asked input) (output, error) {
	ends, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ends, "POST", "http://"+address+"/echo.EchoService/echo", bytes.NewReader(make([]byte, 5)))
	if err != nil {
		panic(err)
	}
	request.GetBody = nil // it is never sent twice
	for name, value := range map[string]string{
		"Content-Type": "application/grpc", "Te": "trailers", "X-Do": asked.do, "X-Key": asked.key, "X-Old": asked.old, "X-New": asked.new,
	} {
		request.Header.Set(name, value)
	}
	answer, err := web.Do(request)
	if err != nil {
		return output{unknown: true}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return output{unknown: true}, err
	}
	status := answer.Trailer.Get("Grpc-Status")
	if status == "" {
		status = answer.Header.Get("Grpc-Status")
	}
	switch status {
	case "0":
		return output{seen: text(body)}, nil
	case statusExhausted:
		return output{refused: true}, nil
	case statusUnavailable, "":
		return output{unknown: true}, nil
	}
	fmt.Fprintln(os.Stderr, "a call ended with status", status, answer.Header.Get("Grpc-Message"), answer.Trailer.Get("Grpc-Message"))
	os.Exit(3)
	panic("unreachable")
}

// text is the first field of the message in the frame: a text, or nothing.
func text(body []byte) string {
	const frame, tag = 5, 1<<3 | 2
	if len(body) == frame {
		return ""
	}
	size, used := binary.Uvarint(body[frame+1:])
	if body[frame] != tag || frame+1+used+int(size) != len(body) {
		panic(fmt.Sprintf("not a message of echo.proto: %x", body))
	}
	return string(body[frame+1+used:])
}
