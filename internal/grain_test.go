package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/datapunk/switchgear"

// grain says what each package may import of the project, and why no more. The
// loop runs one way: breaker → fleet → control; shells see it all, and nothing
// looks up to its shell. Generated code is a leaf of its own.
var grain = []struct {
	pkg    string
	allows []string
	why    string
}{
	{"/breaker", nil, "the engine of one breaker knows nothing of fleets, policies or processes: it must run anywhere"},
	{"/policy", []string{"/breaker"}, "a policy's fields are the engine's settings; who obeys them is not its business"},
	{"/internal/cause", nil, "a request's mark is a leaf that every transport shares"},
	{"/internal/fleet", []string{"/breaker", "/policy"}, "what replicas say must not depend on what control makes of it"},
	{"/internal/control", []string{"/breaker", "/policy", "/internal/fleet"}, "the mind must run in process, daemon, simulator and replay alike"},
	{"/internal/rollout", []string{"/breaker", "/policy", "/internal/fleet", "/internal/control"}, "a change is judged by the real parts, played beside; who puts it in force is not its business"},
	{"/internal/sim", []string{"/breaker", "/policy", "/internal/fleet", "/internal/control"}, "the simulator is a shell in virtual time"},
	{"/internal/sim/fault", nil, "faults are drawn by who knows nothing of cures: neither shapes the other"},
	{"/internal/sim/partial", nil, "parts of a callee are broken by who does not know how they are found"},
	{"/internal/sim/scenario", []string{"/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/sim", "/internal/sim/fault"}, "a story is played with the real parts, and its truth is told by none of them"},
	{"/internal/sim/evaluate", []string{"/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/sim", "/internal/sim/fault", "/internal/sim/partial"}, "a judge runs the contenders as they are and looks into none of them"},
	{"/internal/sim/story", []string{"/breaker", "/policy", "/internal/control", "/internal/rollout", "/internal/sim", "/internal/sim/scenario", "/internal/fleet"}, "the ten scenarios are played as users' files are: by the scenario's own words"},
	{"", []string{"/breaker", "/policy", "/internal/cause", "/internal/fleet", "/internal/control"}, "the manager is the shell of a process, also around control over its one replica: it must not need a simulator or a transport"},
	{"/internal/outbound", []string{"", "/breaker", "/policy", "/internal/cause", "/internal/fleet"}, "one guarded call is the same for every transport, and knows none of them"},
	{"/internal/failures", []string{"/breaker"}, "the table of failures breaks a peer; how an adapter judges it is the adapter's"},
	{"/breakerhttp", []string{"", "/breaker", "/internal/cause", "/internal/fleet", "/internal/outbound"}, "a transport uses a manager; policies reach it through breakers"},
	{"/breakergrpc", []string{"", "/breaker", "/internal/cause", "/internal/fleet", "/internal/outbound"}, "the same for gRPC, in a module of its own: who does not use it does not load it"},
	{"/switchgeartest", []string{"", "/breaker", "/policy", "/internal/fleet"}, "for users' tests: it sees what users see, and speaks as a daemon does where it stands in for one"},
	{"/internal/metric", []string{"", "/breaker"}, "the list of metrics is a leaf that every exporter shares: it knows none of them"},

	{"/breakerprom", []string{"", "/internal/metric"}, "an exporter reads the manager's metrics port; it knows no other exporter and no transport"},
	{"/breakerotel", []string{"", "/internal/metric"}, "an exporter reads the manager's metrics port; it knows no other exporter and no transport"},

	{"/link/wire", []string{"/breaker", "/policy", "/internal/fleet", "/link/gen"}, "the wire form of messages, and nothing that sends them"},
	{"/link", []string{"", "/internal/fleet", "/link/gen", "/link/wire"}, "a link carries messages between a manager and a daemon; it decides nothing"},

	{"/server/bus", []string{"/link/gen", "/server/gen"}, "the bus carries bytes; it does not know who decides"},
	{"/server/store", nil, "the store keeps records of any kind; what they say is not its business"},
	{"/server/policybook", []string{"/policy", "/internal/rollout", "/server/policies", "/server/store"}, "the daemon's policies are documents in the store; how they are asked for and obeyed is not their business"},
	{"/server/api", []string{"/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/rollout", "/server/policybook", "/server/store", "/server/gen"}, "the API shows views and the book of policies; adapters do not know each other"},
	{"/server/describe", nil, "the API's description comes from its proto files alone"},
	{"/server/policies", []string{"/policy"}, "files become nodes there; what they mean is policy's business"},
	{"/server/config", nil, "a file's words and limits, wherever they are used"},
	{"/server/proxy", nil, "the fault proxy knows the truth because it knows nothing else"},
	{"/server/app", []string{"", "/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/rollout", "/link/gen", "/link/wire", "/server/api", "/server/policybook", "/server/bus", "/server/describe", "/server/store", "/server/gen"}, "only app sees the adapters together"},
	{"/server/process", nil, "processes are started and ended by who does not know what they do"},
	{"/server/demo", []string{"", "/policy", "/breakerhttp", "/link", "/server/process", "/server/proxy", "/server/gen"}, "the demo uses what users use: library, link and API"},
	{"/server/live", []string{"", "/policy", "/breakerhttp", "/link", "/internal/sim/story", "/server/process", "/server/proxy"}, "real parts are measured from outside, and told as the story's rows are"},
	{"/server/scale", []string{"", "/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/sim", "/link", "/link/gen", "/link/wire", "/server/app", "/server/bus", "/server/process", "/server/gen"}, "a scale weighs each part as it is, alone and together"},
	{"/server/cli", []string{"", "/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/sim/evaluate", "/internal/sim/scenario", "/internal/sim/story", "/server/api", "/server/app", "/server/config", "/server/demo", "/server/live", "/server/policies", "/server/proxy", "/server/scale", "/server/gen"}, "commands call; nothing calls commands"},
	{"/server/cmd/switchgear", []string{"/server/cli", "/server/process"}, "main does nothing but begin"},

	{"/bench", []string{"", "/breaker", "/policy"}, "peers are imported here and nowhere else"},
	{"/examples/grpc", []string{"", "/breakergrpc"}, "an example uses what users can"},
	{"/examples/http", []string{"", "/breakerhttp"}, "an example uses what users can"},
	{"/examples/sql", []string{""}, "an example uses what users can"},
	{"/examples/quickstart", []string{"", "/breakerhttp", "/link"}, "an example uses what users can"},
	{"/examples/statsd", []string{""}, "an exporter of one's own needs the manager only"},
	{"/examples/redis", []string{""}, "a state cache of a user's own: it needs nothing but the library"},
	{"/tools/mutants", nil, "a tool reads the sources; it must not depend on what it changes"},
}

// pure packages decide; they never act.
var pure = []string{"/breaker", "/policy", "/internal/fleet", "/internal/control", "/internal/rollout", "/internal/sim", "/internal/sim/fault", "/internal/sim/partial", "/internal/sim/scenario", "/internal/sim/evaluate", "/internal/sim/story"}

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

// modules with requirements of their own; all else is the root's.
var modules = []string{"/link", "/breakergrpc", "/breakerprom", "/breakerotel", "/server", "/bench", "/examples", "/tools"}

func TestImportsGoWithTheGrain(t *testing.T) {
	seen := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "gen" || d.Name() == "testdata" || len(d.Name()) > 2 && d.Name()[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		dir, err := filepath.Rel("..", filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := strings.TrimSuffix("/"+filepath.ToSlash(dir), "/.")
		seen[pkg] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			judge(t, path, pkg, imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range grain {
		if !seen[g.pkg] {
			t.Errorf("%s has a place in the grain and is not there", module+g.pkg)
		}
	}
}

func judge(t *testing.T, file, pkg, imported string) {
	t.Helper()
	for _, g := range grain {
		if g.pkg != pkg {
			continue
		}
		own, inside := strings.CutPrefix(imported, module)
		if i := strings.Index(own, "/gen/"); i >= 0 {
			own = own[:i+len("/gen")]
		}
		nested := slices.ContainsFunc(modules, func(m string) bool { return strings.HasPrefix(pkg, m) })
		switch {
		case inside && !slices.Contains(g.allows, own):
			t.Errorf("%s imports %s, against the grain: %s", file, imported, g.why)
		case !inside && !nested && strings.Contains(strings.Split(imported, "/")[0], "."):
			t.Errorf("%s imports %s: the root module requires nothing", file, imported)
		}
		if why, bad := impure[imported]; bad && slices.Contains(pure, pkg) {
			t.Errorf("%s imports %s: %s", file, imported, why)
		}
		return
	}
	t.Errorf("%s: package %s has no place in the grain: give it one, with a reason", file, module+pkg)
}
