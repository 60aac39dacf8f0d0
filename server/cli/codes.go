package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// Exit codes: docs/operating.md.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInvalid     = 3
	exitNotAllowed  = 4
	exitNotFound    = 5
	exitConflict    = 6
	exitUnavailable = 7
	exitInterrupted = 130
)

// exitCodes of what the daemon answers; what is not here has failed.
var exitCodes = map[connect.Code]int{
	connect.CodeInvalidArgument:    exitInvalid,
	connect.CodeOutOfRange:         exitInvalid,
	connect.CodeUnauthenticated:    exitNotAllowed,
	connect.CodePermissionDenied:   exitNotAllowed,
	connect.CodeNotFound:           exitNotFound,
	connect.CodeAlreadyExists:      exitConflict,
	connect.CodeAborted:            exitConflict,
	connect.CodeFailedPrecondition: exitConflict,
	connect.CodeUnavailable:        exitUnavailable,
	connect.CodeDeadlineExceeded:   exitUnavailable,
	connect.CodeResourceExhausted:  exitUnavailable, // it answers, and can't now
	connect.CodeUnknown:            exitUnavailable, // another program answers there
	connect.CodeUnimplemented:      exitUnavailable, // or a daemon that doesn't know this yet
}

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var e exitError
	if errors.As(err, &e) {
		return e.code
	}
	return exitFailed
}

// explain gives an error of the API its exit code, and says what to do: in the
// daemon's words, where one has answered.
func (c *client) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return withCode(exitInterrupted, ctx.Err())
	}
	code, known := exitCodes[connect.CodeOf(err)]
	if !known {
		code = exitFailed
	}
	text := err
	var e *connect.Error
	if errors.As(err, &e) && e.Unwrap() != nil {
		text = e.Unwrap() // without the code's name
	}
	if d := detailOf(err); d != nil {
		words := text.Error()
		if d.GetAdvice() != "" {
			words += "\n" + sentenceOf(d.GetAdvice())
		}
		return withCode(code, errors.New(flagWords.Replace(words)))
	}
	if code == exitUnavailable && connect.CodeOf(err) != connect.CodeResourceExhausted {
		return withCode(code, fmt.Errorf("no daemon answers at %s: %w\nStart one with 'switchgear serve --dev', or say where it is with --server URL or SWITCHGEAR_SERVER", c.server, text))
	}
	return withCode(code, fmt.Errorf("ask the daemon at %s: %w", c.server, text))
}

// detailOf is what a daemon adds to an error, nil if none did.
func detailOf(err error) *apiv1.ErrorDetail {
	var e *connect.Error
	if !errors.As(err, &e) {
		return nil
	}
	for _, x := range e.Details() {
		if v, err := x.Value(); err == nil {
			if d, ok := v.(*apiv1.ErrorDetail); ok {
				return d
			}
		}
	}
	return nil
}

// flagWords are what the API's fields are called here.
var flagWords = strings.NewReplacer("time_to_live", "--for", "set allow_unknown", "say --allow-unknown")

func sentenceOf(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
