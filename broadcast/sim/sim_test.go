package sim

import (
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds      = flag.Int("seeds", 3000, "number of seeds of the fixed set")
	fresh      = flag.Int("fresh", 0, "number of random seeds")
	first      = flag.Uint64("first", 1, "first seed of the fixed set")
	operations = flag.Int("operations", 200, "operations of each seed")
	stop       = flag.Bool("stop", false, "stop at the first seed that fails")
	scriptFile = flag.String("script", "", "file of a script to replay")
)

// TestSeeds runs the scripts of a fixed set of seeds. A kind of fault that it does not meet is not tested.
func TestSeeds(t *testing.T) {
	met := runSeeds(t, *first, *seeds)
	for _, kind := range kinds {
		if met[kind] == 0 && *seeds >= 3000 && !*stop {
			t.Errorf("no seed has met %s", kind)
		}
	}
	for kind := range met {
		if !slices.Contains(kinds, kind) {
			t.Errorf("%s is no kind of fault or event", kind)
		}
	}
}

// TestFreshSeeds runs scripts that nobody has run before.
func TestFreshSeeds(t *testing.T) { runSeeds(t, rand.Uint64N(1<<40)<<20, *fresh) }

// runSeeds runs seeds on all processors, and logs and returns the events that they met.
func runSeeds(t *testing.T, from uint64, count int) map[string]int {
	var next, failed atomic.Uint64
	var mu sync.Mutex // of the two below
	met, reports := make(map[string]int), make(map[uint64]Script)
	start := time.Now()
	var tasks sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		tasks.Go(func() {
			own := make(map[string]int)
			for i := next.Add(1) - 1; i < uint64(count) && !(*stop && failed.Load() > 0); i = next.Add(1) - 1 {
				s := NewScript(from+i, *operations)
				r := s.Run()
				for k, n := range r.Met {
					own[k] += n
				}
				if r.Violation != "" {
					failed.Add(1)
					mu.Lock()
					reports[from+i] = s
					mu.Unlock()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for k, n := range own {
				met[k] += n
			}
		})
	}
	tasks.Wait()
	took := time.Since(start)
	t.Logf("seeds %d to %d of %d operations in %v: %.0f seeds a second, %d failed", from, from+min(next.Load(), uint64(count))-1, *operations,
		took.Round(time.Millisecond), float64(min(next.Load(), uint64(count)))/took.Seconds(), failed.Load())
	for _, k := range slices.Sorted(maps.Keys(met)) {
		t.Logf("%10d %s", met[k], k)
	}
	for i, seed := range slices.Sorted(maps.Keys(reports)) {
		if i == 3 {
			t.Errorf("and the seeds %d", slices.Sorted(maps.Keys(reports))[i:])
			break
		}
		t.Error(Report(seed, reports[seed]))
	}
	return met
}

// TestFound replays the short scripts of faults that were mended.
func TestFound(t *testing.T) {
	files, err := filepath.Glob("testdata/found/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, name := range files {
		if r := readScript(t, name).Run(); r.Violation != "" {
			t.Errorf("%s: %s", filepath.Base(name), r.Violation)
		}
	}
}

func readScript(t *testing.T, name string) Script {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseScript(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A seed that runs twice tells its clients the same.
func TestSeedRunsTheSameTwice(t *testing.T) {
	hashes := make(map[uint64]bool)
	for seed := range uint64(100) {
		once, again := NewScript(seed, *operations).Run(), NewScript(seed, *operations).Run()
		if once.Hash != again.Hash || once.Violation != again.Violation || !maps.Equal(once.Met, again.Met) {
			t.Errorf("seed %d: hash %x, then %x\n%q, then %q", seed, once.Hash, again.Hash, once.Violation, again.Violation)
		}
		hashes[once.Hash] = true
	}
	if len(hashes) < 90 {
		t.Errorf("100 seeds have %d traces", len(hashes))
	}
}

func TestScriptIsReadAsWritten(t *testing.T) {
	s := NewScript(7, 100)
	again, err := ParseScript("# a comment\n" + s.String())
	if err != nil || again.String() != s.String() || again.Run().Hash != s.Run().Hash {
		t.Errorf("%v\n%v\n%v", err, s, again)
	}
}

// TestScript replays a script and logs all that happens.
func TestScript(t *testing.T) {
	if *scriptFile == "" {
		t.Skip("no -script")
	}
	s := readScript(t, *scriptFile)
	s.Log = func(line string) { t.Log(line) }
	if r := s.Run(); r.Violation != "" {
		t.Error(r.Violation)
	}
}
