// Command relocated gives back what it does not need, and then uses types, texts
// and interfaces, which a program that can lie anywhere has at addresses that its
// loader wrote.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/session-init/session-init/supervise/footprint"
)

func main() {
	for range 2 {
		footprint.GiveBack()
	}
	var list []any
	for i := range 3 {
		n, err := strconv.Atoi(strconv.Itoa(i + 1))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		list = append(list, n)
	}
	var where fmt.Stringer = place("here")
	fmt.Println(list, "still", where)
}

type place string

func (p place) String() string { return string(p) }
