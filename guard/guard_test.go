package guard

import (
	"strings"
	"sync"
	"testing"
)

func TestGuardTells(t *testing.T) {
	var told []Fault
	g := New(func(f Fault) { told = append(told, f) })
	value := func() (v any) {
		defer func() { v = recover() }()
		g.Do("kitchen", func() { panic("it burns") })
		return nil
	}()
	if value != "it burns" {
		t.Errorf("after the fault, recover() = %v; want the panic to go on", value)
	}
	if len(told) != 1 || told[0].Error() != "panic in the kitchen: it burns" ||
		!strings.Contains(string(told[0].Stack), "TestGuardTells") {
		t.Errorf("told %v; want the place, the value and the stack", told)
	}
}

func TestGuardPasses(t *testing.T) {
	for _, g := range []*Guard{nil, New(func(f Fault) { t.Errorf("fault: %v", f) })} {
		var wg sync.WaitGroup
		ran := make(chan int, 3)
		g.GoIn(&wg, "first", func() { ran <- 1 })
		wg.Wait()
		g.Go("second", func() { ran <- 2 })
		g.Do("third", func() { ran <- 3 })
		sum := 0
		for range 3 {
			sum += <-ran
		}
		if sum != 6 {
			t.Errorf("not all ran: %d", sum)
		}
	}
}
