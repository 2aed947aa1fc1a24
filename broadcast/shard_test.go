package broadcast

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	scriptFilters = []string{"px.A", "px.B", "px.*", "px.>", "*.A", ">", "q", "px.A.x"}
	scriptTopics  = []string{"px.A", "px.B", "q", "px.A.x"}
)

// scriptOf reads any bytes as a script, three a line.
func scriptOf(b []byte) (lines []string) {
	const ops = "SSSSSUUUPPPPPPRRRRRRRRJJFFDDDCBANEMM"
	for ; len(b) >= 3; b = b[3:] {
		op, x, y := ops[int(b[0])%len(ops)], int(b[1]), int(b[2])
		client := string(rune('a' + x%5))
		switch op {
		case 'S', 'U', 'A':
			lines = append(lines, fmt.Sprintf("%c %s %s", op, client, scriptFilters[y%len(scriptFilters)]))
		case 'M':
			names := scriptFilters[y%len(scriptFilters)]
			for i := range 1 + x/5%3 {
				names += "," + scriptFilters[(y+1+i*(1+y/8%3))%len(scriptFilters)]
			}
			lines = append(lines, fmt.Sprintf("M %s %s", client, names))
		case 'P':
			lines = append(lines, fmt.Sprintf("P %s %d", scriptTopics[x%len(scriptTopics)], 1+y%3))
		case 'R':
			lines = append(lines, fmt.Sprintf("R %d %d", x%2, 1+y%7))
		case 'N', 'E':
			lines = append(lines, string(op))
		default:
			lines = append(lines, fmt.Sprintf("%c %s", op, client))
		}
	}
	return lines
}

// joins returns the lines that most scripts begin with: all clients join.
func joins() []string { return []string{"J a", "J b", "J c", "J d", "J e"} }

// Each script is a case that once went wrong, or could.
func TestShardScripts(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"exactly once in order", "S a px.A; S d px.A; P px.A 5; R 0 9; R 1 9"},
		{"overlapping filters", "S a px.A; S a px.*; S a >; S b px.>; P px.A 5; R 0 9; P px.A.x 2"},
		{"nothing after unsubscribing", "S a px.A; P px.A 3; U a px.A; R 0 9; P px.A 1"},
		{"snapshot", "S b px.A; P px.A 3; P px.B 1; R 0 99; S a px.A; S c px.*; S d px.>; P px.A 1"},
		{"no snapshot before what is in the mailbox", "S a px.A; P px.A 3; S b px.A; S c px.*; R 0 2; S b px.*"},
		{"subscribe again within the linger", "S a px.A; P px.A 2; R 0 9; U a px.A; P px.A 1; S a px.A; P px.A 1"},
		{"subscribe again after it", "S a px.A; P px.A 2; R 0 9; U a px.A; E; P px.A 1; S a px.A; P px.A 1"},

		{"a pattern after a silent topic", "S a px.A; S b px.*; P px.A 1"},
		{"a pattern after a silent topic of another shard", "S a px.A; S d px.*; S e px.A; P px.A 1"},
		{"a silent topic ends between two patterns", "S a px.B; S c px.>; U a px.B; E; S c >"},
		{"a silent topic ends under a pattern", "S a px.A; S b px.*; U a px.A; E; P px.A 1; S a px.A"},

		{"behind: newest of each topic", "S a px.*; S b px.*; F a; P px.A 3; P px.B 2; R 0 99; D a; P px.A 1"},
		{"behind: left and came back", "S a px.A; F a; P px.A 3; R 0 99; C a; J a; S a px.B; P px.A 1; D a"},
		{"behind: unsubscribed meanwhile", "S a px.A; S a px.B; F a; P px.A 2; P px.B 2; R 0 99; U a px.A; D a"},
		{"behind: unsubscribed and back", "S a px.A; F a; P px.A 2; R 0 99; U a px.A; E; S a px.A; P px.A 1; D a"},
		{"behind: a new subscription", "S b px.A; P px.A 1; R 0 9; F a; S a px.B; S a px.A; P px.A 1; R 0 9; D a"},
		{"behind: told stale later", "S a px.A; F a; P px.A 1; R 0 9; N; R 0 9; D a; N"},

		{"cut: drained before its visit", "S a px.A; S b px.A; S c px.A; F a; F b; F c; P px.A 1; R 0 9; P px.A 1; R 0 1; D a; D b; D c"},
		{"cut: another topic subscribed before its visit",
			"S a px.A; S b px.A; S c px.A; S a px.*; S b px.*; S c px.*; P px.A 1; R 0 1; S a q; S b q; S c q"},
		{"cut: a pattern subscribed before its visit", "S a px.A; S b px.A; S c px.A; P px.A 1; R 0 1; S a px.*; S b px.*; S c px.*"},
		{"cut: unsubscribed before its visit", "S a px.A; S b px.A; S c px.A; P px.A 1; R 0 1; U a px.A; U b px.A; U c px.A; S a px.A; S b px.A"},
		{"cut: one of two filters dropped", "S a px.A; S b px.A; S c px.A; S a >; S b >; S c >; P px.A 2; R 0 2; U a >; U b px.A; R 0 2; U c >"},
		{"cut: left before its visit", "S a px.A; S b px.A; S c px.A; P px.A 1; R 0 1; C a; C b; C c; J c; S c px.A; J a"},
		{"cut: came back with the cursor", "S a px.A; S b px.A; S c px.A; P px.A 1; R 0 1; C a; C b; C c; J a; J b; J c; A a px.A; A b px.A; A c px.A"},
		{"cut: everybody leaves, somebody comes", "S a px.A; S b px.A; P px.A 1; R 0 1; U a px.A; U b px.A; S c px.A; P px.A 1; R 0 9; E"},
		{"cut: a notice", "N; R 0 1; C a; J a; N; R 0 2; F b; R 0 9; D b; N"},

		{"many at once", "M a px.A,px.B,q; M d px.*,>; P px.A 2; R 0 9; R 1 9; R 0 9; P px.B 1"},
		{"many at once: more than it may hold", "S a px.A; M a px.A,px.B,q,px.*,>,*.A,px.A.x; P px.A 2"},
		{"many at once: messages in between", "S b px.A; P px.A 1; R 0 9; M a px.A,px.B,px.*; P px.A 1; R 0 9; P px.A 1; P px.B 1; R 0 9; P px.A 1; R 0 9"},
		{"many at once: held topics change in between", "S a q; M a px.A,px.B,px.*; P q 1; R 0 9; P q 2; R 0 9; R 0 9; P q 1"},
		{"many at once: leaves in between", "M a px.A,px.B,q; M b px.A,q; R 0 9; C a; P px.A 1; J a; M a px.A,q; R 0 9; P q 1"},
		{"many at once: behind", "S a q; F a; P q 2; R 0 9; M a px.A,px.B; R 0 9; P px.A 1; D a; R 0 9; R 0 9"},
		{"many at once: falls behind in the answer", "M a px.A,px.B; F a; R 0 9; P px.A 2; R 0 9; R 0 9; D a; P px.A 1"},
		{"many at once: drained in between", "S a q; F a; P q 2; R 0 9; M a px.A,px.B,px.*; R 0 9; D a; P q 1; R 0 9; P q 1; R 0 9; R 0 9"},
		{"many at once: cut", "S a px.A; S b px.A; S c px.A; P px.A 1; R 0 1; M a px.*,>; M b px.B,px.A; R 0 1; P px.A 1; R 0 1; R 0 1"},
		{"many at once: breaks in the answer", "B a; M a px.A,px.B; R 0 9; R 0 9; M b px.A,px.B; B b; R 0 9; R 0 9; P px.A 1"},
		{"many at once: upstream goes away", "M a px.A,px.B; N; R 0 9; R 0 9; N"},

		{"breaks in a write", "S a px.A; S b px.A; S c px.A; B a; B b; P px.A 2; R 0 9; J a; S a px.A; P px.A 1"},
		{"breaks in an answer", "B a; S a px.A; B b; U b px.A; P px.A 1"},
		{"breaks in a snapshot", "S b px.A; P px.A 2; R 0 9; F a; S a px.A; B a; D a; J a; S a px.A"},
		{"breaks in a notice", "B a; N; R 0 99; J a"},
		{"a cursor on a held topic", "S a px.A; P px.A 2; R 0 9; F a; P px.A 2; R 0 9; D a; P px.A 1; A a px.A; R 0 9; A a px.A"},
		{"a cursor recovers", "S a px.A; P px.A 2; R 0 9; C a; J a; A a px.A; P px.A 1; R 0 9; C a; P px.A 1; J a; A a px.A"},

		// Topic px.A ends while its message waits for shard 0, and its id goes to px.B.
		{"an ended topic's message", "S a px.A; S b x.*; P px.A 1; U a px.A; E; S a px.B; R 0 9; P px.B 1"},
		{"an ended topic's message and a late pattern", "S a px.A; P px.A 1; U a px.A; E; S a px.B; S c *.A; R 0 9; P px.B 1; R 0 9; U c *.A; P px.B 1"},
		{"wakes while it drains", "S a px.A; S b px.A; P px.A 3; R 0 1; P px.A 1; R 0 1; P px.A 1; R 0 1; P px.A 1; R 0 1; R 0 1; P px.A 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runScript(t, append(joins(), strings.Split(c.script, ";")...), 0) })
		})
	}
}

func TestShardAgainstModel(t *testing.T) {
	for seed := range uint64(36) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			b := make([]byte, 3*250)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			lines, mailbox := append(joins(), scriptOf(b)...), int(seed%3)*2
			if failure(t, lines, mailbox) != "" {
				t.Fatal(failure(t, shrink(t, lines, mailbox), mailbox))
			}
		})
	}
}

func FuzzShard(f *testing.F) {
	f.Add(byte(0), []byte("\x00\x00\x00\x08\x00\x05\x0e\x00\x01"))
	f.Add(byte(2), []byte("0a00b00c18d18e18f18f28fF0gF1gR2hR3hS0xS1xS2x"))
	f.Fuzz(func(t *testing.T, mailbox byte, b []byte) {
		if len(b) > 3*200 {
			t.Skip("long scripts find nothing that short ones do not")
		}
		synctest.Test(t, func(t *testing.T) { runScript(t, append(joins(), scriptOf(b)...), int(mailbox%4)) })
	})
}
