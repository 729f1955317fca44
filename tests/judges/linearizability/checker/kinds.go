package main

import (
	"fmt"
	"math/rand"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// kind is what one of the elements does. `next` draws a call of a client that knows states, by key; `fresh` is a value that nobody
// else writes. `step` says what becomes of a state. `effective` leaves out calls that may have happened where nobody could tell.
type kind struct {
	next      func(chance *rand.Rand, known map[string]string, fresh string) input
	step      func(state string, asked input) string
	effective func(history []porcupine.Operation) []porcupine.Operation
	model     func(history []porcupine.Operation) porcupine.Model
}

var kinds = map[string]kind{
	"limit":     {nextPass, func(state string, _ input) string { return state }, all, limitModel},
	"registers": {nextRegister, stepRegister, seenWrites, registersModel},
	"versioned": {nextVersioned, stepVersioned, seenWrites, versionedModel},
}

const keys = 5

var limit int // of the element of that name

// ---- a limit ----

func nextPass(*rand.Rand, map[string]string, string) input { return input{do: "pass"} }

func all(history []porcupine.Operation) []porcupine.Operation { return history }

// The state is how many have passed. A number that a call has got was not given to one of which nobody knows what it got: without
// that, every choice among those would have to be tried.
func limitModel(history []porcupine.Operation) porcupine.Model {
	given := map[int]bool{}
	for _, it := range history {
		given[number(it.Output.(output).seen)] = true
	}
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, _, out any) (bool, any) {
			passed, output := state.(int), out.(output)
			switch {
			case output.refused:
				return passed == limit, passed
			case output.unknown && passed == limit:
				return true, passed
			case output.unknown:
				return !given[passed+1], passed + 1
			}
			return number(output.seen) == passed+1 && passed < limit, passed + 1
		},
		DescribeOperation: describe,
	}
}

func number(text string) int {
	found, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return found
}

// ---- a register for each key ----

func nextRegister(chance *rand.Rand, known map[string]string, fresh string) input {
	key := fmt.Sprint("key", chance.Intn(keys))
	switch chance.Intn(3) {
	case 0:
		return input{do: "get", key: key}
	case 1:
		return input{do: "set", key: key, new: fresh}
	}
	return input{do: "swap", key: key, old: known[key], new: fresh}
}

// Who reads sees which value was there, and what follows a write sees what it wrote. So a write of which nobody knows, and whose value
// nobody saw, did not happen, or nothing came between it and the next one.
func seenWrites(history []porcupine.Operation) []porcupine.Operation {
	seen := map[string]bool{}
	for _, it := range history {
		seen[value(it.Output.(output).seen)] = true
	}
	var effective []porcupine.Operation
	for _, it := range history {
		if asked := it.Input.(input); !it.Output.(output).unknown || (asked.new != "" && seen[asked.new]) {
			effective = append(effective, it)
		}
	}
	return effective
}

func stepRegister(state string, asked input) string {
	if asked.do == "set" || (asked.do == "swap" && asked.old == state) {
		return asked.new
	}
	return state
}

func registersModel([]porcupine.Operation) porcupine.Model {
	model := seenModel("", stepRegister)
	model.Partition = byKey
	return model
}

// Each call is answered with the state before it.
func seenModel(first string, step func(state string, asked input) string) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return first },
		Step: func(state, in, out any) (bool, any) {
			output := out.(output)
			return output.unknown || output.seen == state, step(state.(string), in.(input))
		},
		DescribeOperation: describe,
	}
}

func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, it := range history {
		key := it.Input.(input).key
		parts[key] = append(parts[key], it)
	}
	var found [][]porcupine.Operation
	for _, it := range parts {
		found = append(found, it)
	}
	return found
}

// ---- a value with a version ----

func nextVersioned(chance *rand.Rand, known map[string]string, fresh string) input {
	if chance.Intn(3) == 0 {
		return input{do: "get"}
	}
	version, _, _ := strings.Cut(known[""], " ")
	return input{do: "put", old: version, new: fresh}
}

// What stands behind the version, if there is one.
func value(seen string) string { return seen[strings.Index(seen, " ")+1:] }

func stepVersioned(state string, asked input) string {
	version, _, _ := strings.Cut(state, " ")
	if asked.do == "put" && asked.old == version {
		return fmt.Sprint(number(version)+1, " ", asked.new)
	}
	return state
}

func versionedModel([]porcupine.Operation) porcupine.Model { return seenModel("0 ", stepVersioned) }

func describe(in, out any) string {
	asked, output := in.(input), out.(output)
	did := strings.Join(strings.Fields(strings.Join([]string{asked.do, asked.key, asked.old, asked.new}, " ")), " ")
	switch {
	case output.unknown:
		return did + ": unknown"
	case output.refused:
		return did + ": refused"
	}
	return fmt.Sprintf("%s: %q", did, output.seen)
}
