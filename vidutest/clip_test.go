package vidutest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

func TestClip(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10<<10)
	short := long[:4<<10]
	for name, test := range map[string]struct{ in, want string }{
		"short":             {`{"a":["b","c"]}`, `{"a":["b","c"]}`},
		"item":              {`["` + long + `"]`, `["` + short + `"]`},
		"second item":       {`["a" , "` + long + `","b"]`, `["a" , "` + short + `","b"]`},
		"value":             {`{"a" : "` + long + `"}`, `{"a" : "` + long + `"}`},
		"name":              {`{"` + long + `":1}`, `{"` + short + `":1}`},
		"nested":            {`{"a":[{"b":["` + long + `"]}]}`, `{"a":[{"b":["` + short + `"]}]}`},
		"quote is kept":     {`["` + long + `\"` + long + `"]`, `["` + short + `\""]`},
		"backslash is kept": {`["` + long + `\\"]`, `["` + short + `\\"]`},
		"escape is kept":    {`["` + long + `\u00e9` + long + `"]`, `["` + short + `\u00e9"]`},
		"verdict":           {`["data:"]`, `["data:#no media type"]`},
		"verdict deep in":   {`{"a":[{"b":1},["data:"]]}`, `{"a":[{"b":1},["data:#no media type"]]}`},
		"behind an object":  {`[{"data:":1},"data:"]`, `[{"data:":1},"data:#no media type"]`},
		"no item":           {`{"a":"data:","data:":[{"data:":"data:"}]}`, `{"a":"data:","data:":[{"data:":"data:"}]}`},
		"colon inside":      {`["a:","` + long + `"]`, `["a:","` + short + `"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, clipped(t, strings.NewReader(test.in)))
			assert.Equal(t, test.want, clipped(t, iotest.OneByteReader(strings.NewReader(test.in))))
		})
	}
}

func clipped(t *testing.T, src io.Reader) string {
	t.Helper()
	got, err := io.ReadAll(vidutest.Clip(src))
	require.NoError(t, err)
	return string(got)
}

func TestClip_PassesErrorsOn(t *testing.T) {
	t.Parallel()
	_, err := io.ReadAll(vidutest.Clip(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(goodBody)))))
	assert.ErrorIs(t, err, iotest.ErrTimeout)
}

// What is JSON stays JSON, what is not stays wrong, and what is short stays as it is. The text is also tried behind a
// string that is already being cut.
func FuzzClip(f *testing.F) {
	f.Add(goodBody)
	f.Add(`["a\u00zz","b\"",{"c":"d\\"}]`)
	f.Add("[\"\n\"]")
	f.Add(`[["data:image\/png;base64,iVBORw0KGgo\u003d"],{"data:":"data:"}]`)
	f.Add(`" : "`)
	f.Add(`"\ud83d\ude00","\ud83d"`)
	f.Add("\"\xe7\x95\x8c\",\"\xe7\"")
	long := strings.Repeat("x", 5<<10)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) <= 4<<10 {
			got, err := io.ReadAll(vidutest.Clip(strings.NewReader(text)))
			if err != nil {
				assertNotText(t, text)
				return
			}
			if !bytes.ContainsRune(got, '#') { // else there may be a verdict
				assert.Equal(t, text, string(got))
			}
		}
		text = `["` + long + text + `"]`
		got, err := io.ReadAll(vidutest.Clip(strings.NewReader(text)))
		if err != nil {
			assertNotText(t, text)
			return
		}
		assert.Equal(t, json.Valid([]byte(text)), json.Valid(got))
	})
}

// assertNotText checks that a text could be refused as one that is no Unicode.
func assertNotText(t *testing.T, text string) {
	t.Helper()
	surrogate := regexp.MustCompile(`(?i)\\ud[89a-f]`).MatchString(text)
	assert.True(t, surrogate || !utf8.ValidString(text), "%q", text)
}
