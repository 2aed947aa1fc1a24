package broadcast

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A naiveTrie is a trie without the tree.
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

// nodes counts the nodes of a tree, and those that lead to no key.
func nodes[T comparable](at *node[T]) (all, useless int) {
	all = 1
	if !at.set && len(at.next) == 0 {
		useless = 1
	}
	for _, child := range at.next {
		a, u := nodes(child)
		all, useless = all+a, useless+u
	}
	return all, useless
}

var (
	triePatterns = slices.DeleteFunc(words([]string{"a", "b", "*", ">"}, 3), func(p string) bool { return CheckTopic(p, 99, 99) != nil })
	trieSubjects = words([]string{"a", "b", "z"}, 3)
)

// runTrie reads two bytes as one operation on a trie of patterns, one of subjects and their naive counterparts, and
// compares all that can be asked after each.
func runTrie(t *testing.T, script []byte) {
	var patterns, subjects trie[int]
	naivePatterns, naiveSubjects := naiveTrie{}, naiveTrie{}
	for i := 0; i+1 < len(script); i += 2 {
		op, arg := script[i], int(script[i+1])
		p, s := triePatterns[arg%len(triePatterns)], trieSubjects[arg%len(trieSubjects)]
		switch op % 4 {
		case 0:
			patterns.insert(p, i)
			naivePatterns[p] = i
		case 1:
			patterns.remove(p)
			delete(naivePatterns, p)
		case 2:
			subjects.insert(s, i)
			naiveSubjects[s] = i
		case 3:
			subjects.remove(s)
			delete(naiveSubjects, s)
		}
		if patterns.n != len(naivePatterns) || subjects.n != len(naiveSubjects) {
			t.Fatalf("step %d: n = %d and %d, want %d and %d", i, patterns.n, subjects.n, len(naivePatterns), len(naiveSubjects))
		}
		if got, want := sorted(patterns.match(nil, s)), naivePatterns.match(s); !slices.Equal(got, want) {
			t.Fatalf("step %d: match(%q) = %v, want %v of %v", i, s, got, want, naivePatterns)
		}
		if got, want := sorted(subjects.under(nil, p)), naiveSubjects.under(p); !slices.Equal(got, want) {
			t.Fatalf("step %d: under(%q) = %v, want %v of %v", i, p, got, want, naiveSubjects)
		}
	}
	for _, s := range trieSubjects {
		if got, want := sorted(patterns.match(nil, s)), naivePatterns.match(s); !slices.Equal(got, want) {
			t.Fatalf("match(%q) = %v, want %v of %v", s, got, want, naivePatterns)
		}
	}
	for _, p := range triePatterns {
		if got, want := sorted(subjects.under(nil, p)), naiveSubjects.under(p); !slices.Equal(got, want) {
			t.Fatalf("under(%q) = %v, want %v of %v", p, got, want, naiveSubjects)
		}
	}
	for key := range naivePatterns {
		patterns.remove(key)
	}
	for key := range naiveSubjects {
		subjects.remove(key)
	}
	for _, root := range []*node[int]{&patterns.root, &subjects.root} {
		if all, _ := nodes(root); all != 1 {
			t.Fatalf("%d nodes are left in an empty trie", all-1)
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
	var tr trie[int]
	tr.insert("a.b.c", 1)
	tr.insert("a.b", 2)
	tr.remove("a.b.x") // not there
	tr.remove("a")     // only on the way
	tr.remove("a.b.c")
	if all, useless := nodes(&tr.root); all != 3 || useless != 0 || tr.n != 1 {
		t.Errorf("%d nodes, %d useless, n = %d; want root, a, b and n = 1", all, useless, tr.n)
	}
	if got := tr.match(nil, "a.b"); !slices.Equal(got, []int{2}) {
		t.Errorf("a.b = %v", got)
	}
	tr.insert("a.b", 3) // in place of 2
	if got := tr.match([]int{9}, "a.b"); !slices.Equal(got, []int{9, 3}) || tr.n != 1 {
		t.Errorf("a.b = %v, n = %d; want 3 appended and n = 1", got, tr.n)
	}
}

func FuzzTrie(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 2, 1, 1, 1, 3, 1})
	f.Add([]byte("0a0b0c2a2b2c1a3b0z2z"))
	f.Fuzz(runTrie)
}
