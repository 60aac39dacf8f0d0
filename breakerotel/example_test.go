package breakerotel_test

import (
	"context"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
	"github.com/datapunk/switchgear/breakerotel"
)

func Example() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()

	meters := metric.NewMeterProvider() // with the program's own readers
	registration, err := breakerotel.Register(m, meters.Meter("switchgear"))
	if err != nil {
		panic(err)
	}
	defer func() { _ = registration.Unregister() }()

	client := &http.Client{Transport: breakerotel.Transport(breakerhttp.Transport(m, nil))}
	_, err = client.Get("http://127.0.0.1:1/") // on a span, if there is one
	fmt.Println(err != nil)
	// Output: true
}

// In a gRPC client the error and its context meet in an interceptor: outside of
// the one that guards, it is these two lines.
func ExampleRecord() {
	intercept := func(ctx context.Context, invoke func(context.Context) error) error {
		err := invoke(ctx)
		breakerotel.Record(ctx, err)
		return err
	}
	fmt.Println(intercept(context.Background(), func(context.Context) error { return nil }))
	// Output: <nil>
}
