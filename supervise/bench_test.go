package supervise

import (
	"context"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkSpawn takes a process from Start to Exited, several in flight;
// BenchmarkForkExec is what Go itself does for the same, as the floor.
func BenchmarkSpawn(b *testing.B) {
	for _, leader := range []bool{false, true} {
		name := "member"
		if leader {
			name = "leader"
		}
		b.Run(name, func(b *testing.B) {
			const inFlight = 8
			ends := make(chan struct{}, inFlight)
			s, err := New(Options{}, func(batch []Event) {
				for _, ev := range batch {
					switch ev.(type) {
					case Exited, SpawnFailed:
						ends <- struct{}{}
					}
				}
			})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close(context.Background())
			b.ResetTimer()
			for i := range b.N {
				if i >= inFlight {
					<-ends
				}
				s.Start(Spec{ID: ProcID(i + 1), Path: "/bin/true", Leader: leader})
			}
			for range min(b.N, inFlight) {
				<-ends
			}
		})
	}
}

func BenchmarkForkExec(b *testing.B) {
	attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}}
	for range b.N {
		pid, err := syscall.ForkExec("/bin/true", []string{"true"}, attr)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
}
