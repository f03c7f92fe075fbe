package viduotel_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/vidu-go/vidu"
	viduotel "github.com/vidu-go/vidu/otel"
	"github.com/vidu-go/vidu/vidutest"
)

func Example() {
	client, err := vidu.NewClientFromEnv(
		vidu.WithTracer(viduotel.NewTracer()),
		vidu.WithTransportWrapper(viduotel.Transport))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client)
}

func ExampleNewTracer() {
	server := vidutest.NewServer()
	defer server.Close()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	client, err := vidu.NewClient(server.URL, vidutest.APIKey,
		vidu.WithTracer(viduotel.NewTracer(viduotel.WithTracerProvider(provider))),
		vidu.WithTransportWrapper(viduotel.Transport))
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Reference2Video(context.Background(), &vidu.Reference2VideoRequest{
		Model:  vidu.ModelQ2Pro,
		Images: []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt: "The astronaut waved.",
	})
	span := exporter.GetSpans()[0]
	fmt.Println(span.Name, span.Attributes[1].Value.AsString(), len(span.Events), err)
	// Output: reference2video created 1 <nil>
}

// Every line of the program in README and in the package's comment is in this file.
func TestReadmeIsCompiled(t *testing.T) {
	t.Parallel()
	compiled, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	for _, name := range []string{"README.md", "doc.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		_, program, found := strings.Cut(strings.ReplaceAll(string(text), "\n//", "\n"), "client, err :=")
		require.True(t, found, name)
		program, _, _ = strings.Cut(program, "viduotel.Transport))")
		for line := range strings.Lines(program) {
			assert.Contains(t, string(compiled), strings.TrimSpace(line), name)
		}
	}
}
