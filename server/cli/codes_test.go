package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/server/api"
	"github.com/datapunk/switchgear/server/app"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/gen/switchgear/api/v1/apiv1connect"
)

var discard = slog.New(slog.DiscardHandler)

// erring answers everything with one code, as a daemon does.
type erring struct {
	apiv1connect.UnimplementedCircuitServiceHandler
	apiv1connect.UnimplementedOverrideServiceHandler
	code connect.Code
}

func (e *erring) err() error {
	return &api.Problem{Code: e.code, Err: errors.New("no"), Advice: "do something else"}
}

func (e *erring) ListCircuits(context.Context, *apiv1.ListCircuitsRequest) (*apiv1.ListCircuitsResponse, error) {
	return nil, e.err()
}

func (e *erring) ListPauses(context.Context, *apiv1.ListPausesRequest) (*apiv1.ListPausesResponse, error) {
	return nil, e.err()
}

func (e *erring) WatchCircuits(context.Context, *apiv1.WatchCircuitsRequest, *connect.ServerStream[apiv1.WatchCircuitsResponse]) error {
	return e.err()
}

func TestEachCodeOfTheDaemonHasItsExitCode(t *testing.T) {
	want := map[connect.Code]int{
		connect.CodeCanceled: exitFailed, connect.CodeUnknown: exitUnavailable, connect.CodeInvalidArgument: exitInvalid,
		connect.CodeDeadlineExceeded: exitUnavailable, connect.CodeNotFound: exitNotFound, connect.CodeAlreadyExists: exitConflict,
		connect.CodePermissionDenied: exitNotAllowed, connect.CodeResourceExhausted: exitUnavailable, connect.CodeFailedPrecondition: exitConflict,
		connect.CodeAborted: exitConflict, connect.CodeOutOfRange: exitInvalid, connect.CodeUnimplemented: exitUnavailable,
		connect.CodeInternal: exitFailed, connect.CodeUnavailable: exitUnavailable, connect.CodeDataLoss: exitFailed,
		connect.CodeUnauthenticated: exitNotAllowed,
	}
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		e := &erring{code: code}
		mux := http.NewServeMux()
		mux.Handle(apiv1connect.NewCircuitServiceHandler(e))
		mux.Handle(apiv1connect.NewOverrideServiceHandler(e))
		server := httptest.NewServer(mux)
		for _, args := range [][]string{{"get", "circuits"}, {"get", "pauses"}, {"get", "circuits", "-w"}, {"top", "--once"}} {
			var out, errs bytes.Buffer
			if got := run(t.Context(), append(args, "--server", server.URL), &out, &errs); got != want[code] || out.Len() > 0 || errs.Len() == 0 {
				t.Errorf("%v of %v: exit code %d, want %d: %s%s", code, args, got, want[code], &out, &errs)
			}
		}
		server.Close()
	}
}

func TestTheDaemonsAdviceIsSaid(t *testing.T) {
	e := &erring{code: connect.CodeUnavailable}
	mux := http.NewServeMux()
	mux.Handle(apiv1connect.NewOverrideServiceHandler(e, connect.WithInterceptors(api.Requests(discard))))
	server := httptest.NewServer(mux)
	defer server.Close()
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"get", "pauses", "--server", server.URL}, io.Discard, &errs); code != exitUnavailable || errs.String() != "switchgear: no\nDo something else.\n" {
		t.Errorf("%d: %q", code, &errs)
	}
}

func watchedOf(all ...*apiv1.Circuit) *watched {
	w := &watched{map[string]*apiv1.Circuit{}, map[string]time.Time{}}
	for _, m := range all {
		w.circuits[m.GetName()], w.at[m.GetName()] = m, time.Time{}
	}
	return w
}

func TestTopShowsFirstWhatIsNotClosedAndFitsItsScreen(t *testing.T) {
	var all []*apiv1.Circuit
	for i := range 50 {
		all = append(all, &apiv1.Circuit{Name: fmt.Sprintf("a/w..a/c%02d", i), State: apiv1.State_STATE_CLOSED, CallsPerSecond: float64(i)})
	}
	all[7].State = apiv1.State_STATE_OPEN
	all[8].Override = &apiv1.Override{Mode: apiv1.Mode_MODE_OFF, Reason: "\x1b[2Jevil", Left: durationpb.New(61 * time.Second)}
	frame := topFrame(watchedOf(all...), time.Time{}.Add(time.Second), 60, 10, true)
	lines := strings.Split(strings.TrimSuffix(frame, "\n"), "\n")
	if len(lines) > 9 || !strings.Contains(lines[0], "circuits: 50, open: 1, half open: 0, overrides: 1") {
		t.Errorf("%d lines: %s", len(lines), frame)
	}
	for i, want := range []string{"a/w..a/c07", "a/w..a/c08", "a/w..a/c49"} {
		if !strings.Contains(lines[2+i], want) {
			t.Errorf("line %d: %q: want %s", 2+i, lines[2+i], want)
		}
	}
	if !strings.HasPrefix(lines[2], "\x1b[31m") || strings.Contains(frame, "\x1b[2J") {
		t.Errorf("%q: want the open one in red, and nothing that a service wrote", frame)
	}
	if wide := topFrame(watchedOf(all...), time.Time{}.Add(time.Second), 0, 0, false); !strings.Contains(wide, "for another 1m0s") || all[8].GetOverride().GetLeft().AsDuration() != 61*time.Second {
		t.Errorf("%s: want what is left now", wide)
	}
	for _, line := range strings.Split(topFrame(watchedOf(all...), time.Time{}, 60, 10, false), "\n") {
		if len(line) > 60 || strings.Contains(line, "\x1b") {
			t.Errorf("%q: want 60 columns without colour", line)
		}
	}
}

// On a terminal top draws in place and leaves all as it was; this one is a pipe,
// which has no size.
func TestTopDrawsInPlaceAndLeavesTheTerminalAsItWas(t *testing.T) {
	a, err := app.New(app.Config{Listen: "127.0.0.1:0", Dev: true, Data: t.TempDir(), Name: "d", Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.Run(ctx) }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	connectTo := serverOption(&cobra.Command{})
	t.Setenv("SWITCHGEAR_SERVER", "http://"+a.Address())
	c, err := connectTo()
	if err != nil {
		t.Fatal(err)
	}
	watching, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- topLive(watching, c, &apiv1.WatchCircuitsRequest{}, w)
		w.Close()
	}()
	var seen strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), "circuits: 0") {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(buf[:n])
	}
	interrupt()
	rest, _ := io.ReadAll(r)
	seen.Write(rest)
	if text := seen.String(); !strings.HasPrefix(text, topEnter+topHome) || !strings.HasSuffix(text, topLeave) {
		t.Errorf("%q", text)
	}
	if err := <-ended; codeOf(err) != exitInterrupted {
		t.Errorf("%v: want it interrupted", err)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
