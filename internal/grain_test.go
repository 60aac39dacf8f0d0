package internal_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/datapunk/switchgear"

// grain says what each package of the root module may import of the module, and
// why no more. The loop runs one way: breaker → fleet → control; shells see it
// all, and nothing looks up to its shell.
var grain = []struct {
	pkg    string
	allows []string
	why    string
}{
	{"/breaker", nil, "the engine of one breaker knows nothing of fleets, policies or processes: it must run anywhere"},
	{"/policy", []string{"/breaker"}, "a policy's fields are the engine's settings; who obeys them is not its business"},
	{"/internal", nil, "it holds this test only"},
	{"/internal/cause", nil, "a request's mark is a leaf that every transport shares"},
	{"/internal/fleet", []string{"/breaker", "/policy"}, "what replicas say must not depend on what control makes of it"},
	{"/internal/control", []string{"/breaker", "/policy", "/internal/fleet"}, "the mind must run in process, daemon, simulator and replay alike"},
	{"/internal/sim", []string{"/breaker", "/policy", "/internal/fleet", "/internal/control"}, "the simulator is a shell in virtual time"},
	{"", []string{"/breaker", "/policy", "/internal/cause", "/internal/fleet", "/internal/control"}, "the manager is the shell of a process: it must not need a simulator or a transport"},
	{"/breakerhttp", []string{"", "/breaker", "/internal/cause", "/internal/fleet"}, "a transport uses a manager; policies reach it through breakers"},
	{"/switchgeartest", []string{"", "/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/sim"}, "for users' tests: it may see everything but transports"},
}

// pure packages decide; they never act.
var pure = []string{"/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/sim"}

// impure are imports that would let them.
var impure = map[string]string{
	"net":          "no network: shells carry messages",
	"net/http":     "no network: shells carry messages",
	"os":           "no files: shells read and write them",
	"log":          "no log: a decision carries its reason as a value",
	"log/slog":     "no log: a decision carries its reason as a value",
	"math/rand":    "no global randomness: it comes from a seed (math/rand/v2 with a source)",
	"crypto/rand":  "no randomness but from a seed",
	"testing":      "tests belong in test files",
	"hash/maphash": "its seed differs from run to run: decisions would too",
}

func TestImportsGoWithTheGrain(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	list.Dir = ".." // the root module's own packages
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for dec.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name, inside := strings.CutPrefix(p.ImportPath, module)
		i := slices.IndexFunc(grain, func(g struct {
			pkg    string
			allows []string
			why    string
		},
		) bool {
			return g.pkg == name
		})
		if !inside || i < 0 {
			t.Errorf("package %s has no place in the grain: give it one, with a reason", p.ImportPath)
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if own, ok := strings.CutPrefix(imported, module); ok {
				if !slices.Contains(grain[i].allows, own) {
					t.Errorf("%s imports %s, against the grain: %s", p.ImportPath, imported, grain[i].why)
				}
				continue
			}
			if strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("%s imports %s: the root module requires nothing", p.ImportPath, imported)
			}
			if why, bad := impure[imported]; bad && slices.Contains(pure, name) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
	}
	if seen < len(grain)-1 {
		t.Errorf("saw %d of %d packages", seen, len(grain))
	}
}
