package broadcast

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Each numbered promise of docs/delivery.md names tests and violations of the simulator, and they exist.
func TestDeliveryNamesItsTests(t *testing.T) {
	doc, err := os.ReadFile("../docs/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("*_test.go")
	for _, dir := range []string{"topics", "upstream", "sim"} {
		more, _ := filepath.Glob(dir + "/*.go")
		files = append(files, more...)
	}
	var code []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code = append(code, b...)
	}
	promises := regexp.MustCompile(`(?ms)^(\d+)\. .*?\*\(.*?\)\*`).FindAllSubmatch(doc, -1)
	if len(promises) < 12 {
		t.Errorf("%d promises name a test", len(promises))
	}
	for _, p := range promises {
		for _, name := range regexp.MustCompile(`Test\w+`).FindAll(p[0], -1) {
			if !bytes.Contains(code, append([]byte("func "), append(name, "(t "...)...)) {
				t.Errorf("promise %s: there is no %s", p[1], name)
			}
		}
		for _, quoted := range regexp.MustCompile(`"([^":{}]+)"[,;:)]`).FindAllSubmatch(regexp.MustCompile(`(?s)simulator P\d+:.*?[;)]`).Find(p[0]), -1) {
			violation := bytes.Join(bytes.Fields(quoted[1]), []byte(" "))
			if !bytes.Contains(code, violation) {
				t.Errorf("promise %s: the simulator has no violation %q", p[1], violation)
			}
		}
	}
}
