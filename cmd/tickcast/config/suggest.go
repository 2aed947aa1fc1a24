package config

import (
	"fmt"
	"strings"
)

// didYouMean returns a hint at the candidate nearest to word, or "" if all are too far: a candidate may differ in one of three
// letters, and in two at most. Upper and lower case do not count.
func didYouMean(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, distance := "", min(len(word)/3, 2)+1
	for _, c := range candidates {
		if d := editDistance(word, strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance returns the number of bytes to insert, remove or replace that turn a into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // distances of the bytes of a so far to each prefix of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
