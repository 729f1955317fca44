// Clients make calls through several proxies that share the state of one element, and Porcupine says whether there is an
// order of them that one state could have had.
//
//	checker -element NAME -clients N -calls N -limit N -parts N -seed N -picture FILE
//
// It reads where the proxies are, as lines "NUMBER ADDRESS" that may come at any time, and lines "go": the first begins, and one for
// each of -parts of the calls lets them go on. It writes lines of JSON: one each time that another part was answered, and a last one
// with the verdict.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

const checkTime = 5 * time.Minute

// verdict is the last line. Unknown: calls of which nobody knows whether they happened. By: how many each proxy has answered or
// refused, by its number.
type verdict struct {
	Result                     porcupine.CheckResult
	Answered, Refused, Unknown int
	Seconds, CheckSeconds      float64
	By                         map[int]int
}

func main() {
	element := flag.String("element", "", "whose state it is: limit, registers or versioned")
	clients := flag.Int("clients", 8, "how many make calls at a time")
	calls := flag.Int("calls", 10000, "how many calls are answered before it ends")
	parts := flag.Int("parts", 10, "how often it tells that calls were answered")
	seed := flag.Int64("seed", 1, "of what clients draw")
	flag.IntVar(&limit, "limit", 0, "how many calls the element of that name lets pass")
	picture := flag.String("picture", "", "where a history goes that is not linearizable, as HTML")
	flag.Parse()
	kind, known := kinds[*element]
	if !known {
		fmt.Fprintln(os.Stderr, "no such element:", *element)
		os.Exit(2)
	}
	load := newLoad(kind, *calls, *parts)
	go follow(load)
	var running sync.WaitGroup
	for number := range *clients {
		running.Go(func() { load.client(number, *seed) })
	}
	running.Wait()
	history := load.history
	found := verdict{Seconds: time.Since(load.began).Seconds(), By: load.by}
	for _, it := range history {
		switch output := it.Output.(output); {
		case output.unknown:
			found.Unknown++
		case output.refused:
			found.Refused++
		default:
			found.Answered++
		}
	}
	began := time.Now()
	found.Result = check(kind, history, *picture)
	found.CheckSeconds = time.Since(began).Seconds()
	tell(found)
}

func check(kind kind, history []porcupine.Operation, picture string) porcupine.CheckResult {
	history = kind.effective(history)
	model := kind.model(history)
	result := porcupine.CheckOperationsTimeout(model, history, checkTime)
	if result == porcupine.Illegal && picture != "" {
		_, info := porcupine.CheckOperationsVerbose(model, history, checkTime)
		if err := porcupine.VisualizePath(model, info, picture); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return result
}

// follow takes the lines.
func follow(load *load) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "go" {
			load.allow()
			continue
		}
		var number int
		var address string
		if _, err := fmt.Sscan(lines.Text(), &number, &address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		load.place(number, address)
	}
	os.Exit(2) // whoever started it has ended
}

func tell(what any) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}
