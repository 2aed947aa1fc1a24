package subject

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A naiveTrie is a Trie without the tree.
type naiveTrie map[string]int

func (n naiveTrie) match(subject string) (list []int) {
	for key, v := range n {
		if naiveMatch(key, subject) {
			list = append(list, v)
		}
	}
	return sorted(list)
}

func (n naiveTrie) under(pattern string) (list []int) {
	for key, v := range n {
		if naiveMatch(pattern, key) {
			list = append(list, v)
		}
	}
	return sorted(list)
}

func sorted(list []int) []int {
	slices.Sort(list)
	return list
}

// nodes counts the nodes of a tree, and those without a key at or below them.
func nodes[T comparable](n *node[T]) (all, useless int) {
	all = 1
	if !n.set && len(n.next) == 0 {
		useless = 1
	}
	for _, child := range n.next {
		a, u := nodes(child)
		all, useless = all+a, useless+u
	}
	return all, useless
}

var (
	triePatterns = slices.DeleteFunc(words([]string{"a", "b", "*", ">"}, 3), func(p string) bool { return Check(p, 99, 99) != nil })
	trieSubjects = words([]string{"a", "b", "z"}, 3)
)

// runTrie reads two bytes as one operation on a trie of patterns, a trie of subjects and their naive counterparts. It
// compares their answers after each operation.
func runTrie(t *testing.T, script []byte) {
	var patterns, subjects Trie[int]
	naivePatterns, naiveSubjects := naiveTrie{}, naiveTrie{}
	for i := 0; i+1 < len(script); i += 2 {
		op, arg := script[i], int(script[i+1])
		p, s := triePatterns[arg%len(triePatterns)], trieSubjects[arg%len(trieSubjects)]
		switch op % 4 {
		case 0:
			patterns.Insert(p, i)
			naivePatterns[p] = i
		case 1:
			patterns.Remove(p)
			delete(naivePatterns, p)
		case 2:
			subjects.Insert(s, i)
			naiveSubjects[s] = i
		case 3:
			subjects.Remove(s)
			delete(naiveSubjects, s)
		}
		if patterns.Len() != len(naivePatterns) || subjects.Len() != len(naiveSubjects) {
			t.Fatalf("step %d: n = %d and %d, want %d and %d", i, patterns.Len(), subjects.Len(), len(naivePatterns), len(naiveSubjects))
		}
		if got, want := sorted(patterns.Match(nil, s)), naivePatterns.match(s); !slices.Equal(got, want) {
			t.Fatalf("step %d: match(%q) = %v, want %v of %v", i, s, got, want, naivePatterns)
		}
		if got, want := sorted(walked(&subjects, p)), naiveSubjects.under(p); !slices.Equal(got, want) {
			t.Fatalf("step %d: a walk over %q = %v, want %v of %v", i, p, got, want, naiveSubjects)
		}
		if got, want := sorted(subjects.Under(nil, p)), naiveSubjects.under(p); !slices.Equal(got, want) {
			t.Fatalf("step %d: under(%q) = %v, want %v of %v", i, p, got, want, naiveSubjects)
		}
	}
	for _, s := range trieSubjects {
		if got, want := sorted(patterns.Match(nil, s)), naivePatterns.match(s); !slices.Equal(got, want) {
			t.Fatalf("match(%q) = %v, want %v of %v", s, got, want, naivePatterns)
		}
	}
	for _, p := range triePatterns {
		if got, want := sorted(subjects.Under(nil, p)), naiveSubjects.under(p); !slices.Equal(got, want) {
			t.Fatalf("under(%q) = %v, want %v of %v", p, got, want, naiveSubjects)
		}
	}
	for key := range naivePatterns {
		patterns.Remove(key)
	}
	for key := range naiveSubjects {
		subjects.Remove(key)
	}
	for _, root := range []*node[int]{&patterns.root, &subjects.root} {
		if all, _ := nodes(root); all != 1 {
			t.Fatalf("%d nodes are left in an empty trie", all-1)
		}
	}
}

// walked returns the values of a walk.
func walked(tr *Trie[int], pattern string) (list []int) {
	w := tr.Walk(pattern)
	for v, ok := w.Next(); ok; v, ok = w.Next() {
		list = append(list, v)
	}
	return list
}

// A walk goes on while the trie changes: keys that stay are visited once.
func TestWalkOverAChangingTrie(t *testing.T) {
	for _, pattern := range []string{">", "a.>", "a.*.*", "*.*.x"} {
		var tr Trie[int]
		for i := range 1000 {
			tr.Insert(fmt.Sprintf("a.%d.x", i), i)
		}
		visits, w := make(map[int]int), tr.Walk(pattern)
		for n := 0; ; n++ {
			v, ok := w.Next()
			if !ok {
				break
			}
			visits[v]++
			tr.Remove(fmt.Sprintf("a.%d.x", 500+n%500)) // those of below 500 stay
			tr.Insert(fmt.Sprintf("a.%d.x", 1000+n), 1000+n)
		}
		for i := range 500 {
			if visits[i] != 1 {
				t.Errorf("%q: %d was visited %d times", pattern, i, visits[i])
			}
		}
	}
}

func TestTrieAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		script := make([]byte, 2*(1+r.IntN(200)))
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		runTrie(t, script)
	}
}

func TestTrieKeepsNoUselessNodes(t *testing.T) {
	var tr Trie[int]
	tr.Insert("a.b.c", 1)
	tr.Insert("a.b", 2)
	tr.Remove("a.b.x") // not there
	tr.Remove("a")     // only on the way
	tr.Remove("a.b.c")
	if all, useless := nodes(&tr.root); all != 3 || useless != 0 || tr.Len() != 1 {
		t.Errorf("%d nodes, %d useless, n = %d; want root, a, b and n = 1", all, useless, tr.Len())
	}
	if got := tr.Match(nil, "a.b"); !slices.Equal(got, []int{2}) {
		t.Errorf("a.b = %v", got)
	}
	tr.Insert("a.b", 3) // in place of 2
	if got := tr.Match([]int{9}, "a.b"); !slices.Equal(got, []int{9, 3}) || tr.Len() != 1 {
		t.Errorf("a.b = %v, n = %d; want 3 appended and n = 1", got, tr.Len())
	}
}

func FuzzTrie(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 2, 1, 1, 1, 3, 1})
	f.Add([]byte("0a0b0c2a2b2c1a3b0z2z"))
	f.Fuzz(runTrie)
}

// A walk makes nothing for each of the many topics below a node.
func TestWalkOverLeavesMakesNothing(t *testing.T) {
	var tr Trie[int]
	for i := range 1000 {
		tr.Insert("a."+fmt.Sprint(i), i)
	}
	visits := 0
	made := testing.AllocsPerRun(10, func() {
		visits = 0
		for w := tr.Walk("a.>"); ; visits++ {
			if _, ok := w.Next(); !ok {
				break
			}
		}
	})
	if visits != 1000 || made > 20 {
		t.Errorf("%d visits of 1000 made %.0f objects", visits, made)
	}
}
