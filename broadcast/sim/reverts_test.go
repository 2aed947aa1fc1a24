package sim

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var search = flag.Int("search", 0, "seeds that TestRevertsAreFound looks through for each fix, in place of the one that is known")

// underRace tells that the race detector is on.
var underRace bool

// Each patch of testdata/reverts takes one fix of the delivery back. The simulator must find the fault, or it proves nothing
// about that fix. The file seeds names the first seed that does.
func TestRevertsAreFound(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("it builds the simulator once for each fix, without the race detector")
	}
	patches, err := filepath.Glob("testdata/reverts/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("%d patches: %v", len(patches), err)
	}
	known, err := os.ReadFile("testdata/reverts/seeds")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		copyTree(t, filepath.Join("../..", name), filepath.Join(root, name))
	}
	for _, patch := range patches {
		t.Run(strings.TrimSuffix(filepath.Base(patch), ".patch"), func(t *testing.T) {
			for _, dir := range []string{"broadcast", "wsproto"} {
				copyTree(t, filepath.Join("../..", dir), filepath.Join(root, dir))
			}
			for _, name := range []string{"real_test.go", "proxy_test.go"} { // real servers, which take long to link
				if err := os.Remove(filepath.Join(root, "broadcast/sim", name)); err != nil {
					t.Fatal(err)
				}
			}
			change, err := filepath.Abs(patch)
			if err != nil {
				t.Fatal(err)
			}
			apply := exec.Command("git", "apply", change)
			apply.Dir = root
			apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(root))
			if out, err := apply.CombinedOutput(); err != nil {
				t.Fatalf("the patch does not apply any more: %v\n%s", err, out)
			}
			first, seeds := seedOf(string(known), t.Name()), "1"
			if *search > 0 {
				first, seeds = "1", strconv.Itoa(*search)
			}
			args, shows := []string{"-run", "^TestSeeds$", "-v", "./broadcast/sim", "-first", first, "-seeds", seeds, "-stop"}, "# shortened"
			if strings.HasSuffix(first, ".txt") {
				args, shows = []string{"-run", "^TestScript$", "./broadcast/sim", "-script", first}, violationOf(t, first)
			}
			run := exec.Command("go", append([]string{"test", "-count=1", "-vet=off"}, args...)...)
			run.Dir = root
			out, err := run.CombinedOutput()
			if err == nil || !strings.Contains(string(out), shows) {
				t.Fatalf("it is not found: %v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, ": seed") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

// violationOf returns the violation that the first line of a script names.
func violationOf(t *testing.T, script string) string {
	t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
	return line
}

// seedOf returns the seed of a patch in the file seeds, or the script.
func seedOf(known, test string) string {
	_, name, _ := strings.Cut(test, "/")
	for line := range strings.Lines(known) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			return words[1]
		}
	}
	return "1"
}

// copyTree copies a file or a directory in place of another.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(from); err != nil {
		t.Fatal(err)
	} else if info.IsDir() {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
