package lenientjson_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/testkit"
)

type item struct {
	key   string
	value lenientjson.Value
	end   int // where the value ends in the text
}

func walk(text string) []item {
	var items []item
	for it := lenientjson.Value(text).Items(); it.Next(); {
		items = append(items, item{it.Key(), it.Value(), len(text) - it.Left()})
	}
	return items
}

// shown is what a walk yields in a form for tables: KEY=VALUE.
func shown(text string) []string {
	list := []string{}
	for _, it := range walk(text) {
		list = append(list, it.key+"="+string(it.value))
	}
	return list
}

func TestItems(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"object":                         {`{"a":1,"b":"x"}`, []string{"a=1", `b="x"`}},
		"array":                          {`[1,"x",null,true,[2],{"a":3}]`, []string{"=1", `="x"`, "=null", "=true", "=[2]", `={"a":3}`}},
		"white space":                    {" \r\n\t{ \t\"a\"\n:\r1 , \"b\" : [ ] } ", []string{"a=1", "b=[ ]"}},
		"empty object":                   {`{}`, []string{}},
		"empty array":                    {` [ ] `, []string{}},
		"nothing":                        {``, []string{}},
		"string":                         {`"{"`, []string{}},
		"number":                         {`7`, []string{}},
		"null":                           {`null`, []string{}},
		"byte order mark":                {lenientjson.ByteOrderMark + `{"a":1}`, []string{}},
		"other white space":              {"\v{}", []string{}},
		"behind the end":                 {`{"a":1} x {"b":2}`, []string{"a=1"}},
		"duplicates":                     {`{"a":1,"a":2,"b":3,"a":"4"}`, []string{"a=1", "a=2", "b=3", `a="4"`}},
		"letter case":                    {`{"A":1,"a":2,"\u017f":3,"s":4}`, []string{"A=1", "a=2", "ſ=3", "s=4"}},
		"escaped key":                    {`{"task\u005fid":1,"\"\\\/\n":2,"\ud83d\ude00":3}`, []string{"task_id=1", "\"\\/\n=2", "😀=3"}},
		"escape that is none":            {`{"\q":1,"a":2}`, []string{"=1", "a=2"}},
		"empty key":                      {`{"":1}`, []string{"=1"}},
		"brackets and quotes in strings": {`{"a":["]","\"]","\\"],"b":{"}":"{"},"c":1}`, []string{`a=["]","\"]","\\"]`, `b={"}":"{"}`, "c=1"}},
		"numbers":                        {`[-0,1.5e+7,1E400,99999999999999999999 ]`, []string{"=-0", "=1.5e+7", "=1E400", "=99999999999999999999"}},
		"large number, all digits":       {`{"id":916205061116293121}`, []string{"id=916205061116293121"}},
		"each end of a number":           {"[1,2 ,3\n,4\t,5\r,6]", []string{"=1", "=2", "=3", "=4", "=5", "=6"}},
		"closed object":                  {`{"a":1}`, []string{"a=1"}},

		"cut number":                    {`{"task_id":88548244`, []string{}},
		"cut behind a number's comma":   {`{"task_id":88548244,`, []string{"task_id=88548244"}},
		"cut behind a number's space":   {`{"task_id":88548244 `, []string{"task_id=88548244"}},
		"cut number in an array":        {`[1,23`, []string{"=1"}},
		"cut string":                    {`{"a":1,"b":"xy`, []string{"a=1"}},
		"cut behind a string":           {`{"a":"x"`, []string{`a="x"`}},
		"cut behind a backslash":        {`{"a":1,"b":"x\`, []string{"a=1"}},
		"cut behind an escaped quote":   {`{"a":1,"b":"x\"`, []string{"a=1"}},
		"cut word":                      {`{"a":1,"b":tru`, []string{"a=1"}},
		"cut behind a word":             {`{"a":1,"b":true`, []string{"a=1"}},
		"cut object":                    {`{"a":1,"b":{"c":2,"d"`, []string{"a=1", `b={"c":2,"d"`}},
		"cut array":                     {`[[1,[2],`, []string{"=[1,[2],"}},
		"cut string in a cut array":     {`{"a":["x","y`, []string{`a=["x","y`}},
		"cut string full of brackets":   {`{"a":["x","]}`, []string{`a=["x","]}`}},
		"cut key":                       {`{"a":1,"b`, []string{"a=1"}},
		"cut behind a key":              {`{"a":1,"b"`, []string{"a=1"}},
		"cut behind a colon":            {`{"a":1,"b":`, []string{"a=1"}},
		"cut behind a comma":            {`{"a":1, `, []string{"a=1"}},
		"cut at the start of an object": {`{`, []string{}},
		"cut at the start of an array":  {`[`, []string{}},

		"no colon":                   {`{"a":1,"b" 2,"c":3}`, []string{"a=1"}},
		"comma for a colon":          {`{"a":1,"b",2}`, []string{"a=1"}},
		"no value":                   {`{"a":1,"b":,"c":3}`, []string{"a=1"}},
		"no value before the end":    {`{"a":1,"b":}`, []string{"a=1"}},
		"number runs into letters":   {`{"a":1,"b":7x,"c":3}`, []string{"a=1"}},
		"unknown word":               {`{"a":1,"b":undefined,"c":3}`, []string{"a=1"}},
		"leading zero":               {`[1,07]`, []string{"=1"}},
		"number ended by a colon":    {`[1:2]`, []string{}},
		"single quotes":              {`{'a':1}`, []string{}},
		"key that is no string":      {`{1:2}`, []string{}},
		"comma at the start":         {`{,"a":1}`, []string{"a=1"}},
		"comma at the end":           {`[1,]`, []string{"=1"}},
		"two commas":                 {`[1,,2]`, []string{"=1"}},
		"colon for a comma":          {`["a":"b"]`, []string{`="a"`}},
		"wrong bracket":              {`[1}`, []string{"=1"}},
		"wrong bracket behind space": {`[1 }`, []string{"=1"}},
		"inside is not checked":      {`{"a":[1 2}],"b":[x]],"c":3}`, []string{"a=[1 2}"}},
		"invalid escape in a string": {`{"a":"\q","b":1}`, []string{`a="\q"`, "b=1"}},
		"invalid UTF-8":              {"{\"\xff\":\"\xfe\"}", []string{"\xff=\"\xfe\""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, shown(tt.text))
		})
	}
}

// assertItemsOfPrefix checks what walking prefix yields, where whole is the walk of the text that it begins: the same
// items up to the cut. Only the last one may be shorter, if it is an object or array that reaches to the cut.
func assertItemsOfPrefix(t *testing.T, whole []item, prefix string) {
	t.Helper()
	items := walk(prefix)
	require.LessOrEqual(t, len(items), len(whole), "%s", prefix)
	for i, it := range items {
		require.Equal(t, whole[i].key, it.key, "%s", prefix)
		if whole[i].value == it.value {
			continue
		}
		require.Equal(t, len(items)-1, i, "%s", prefix)
		require.True(t, it.value.IsObject() || it.value.IsArray(), "%s", prefix)
		require.True(t, strings.HasPrefix(string(whole[i].value), string(it.value)), "%s", prefix)
		require.True(t, strings.HasSuffix(prefix, string(it.value)), "%s", prefix)
	}
	for _, it := range whole[len(items):] { // a number is whole when the byte behind it is there
		require.GreaterOrEqual(t, it.end, len(prefix), "%s", prefix)
	}
}

// The walker must see in valid JSON exactly what encoding/json sees.
func assertWalksLikeEncodingJSON(t *testing.T, text []byte) {
	t.Helper()
	items := walk(string(text))
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) == nil {
		walked := map[string]json.RawMessage{}
		for _, it := range items {
			walked[it.key] = json.RawMessage(it.value)
		}
		assert.Len(t, walked, len(object), "%s", text)
		for key, value := range object {
			assert.Equal(t, string(value), string(walked[key]), "%s", text)
		}
		return
	}
	var array []json.RawMessage
	if json.Unmarshal(text, &array) == nil {
		require.Len(t, items, len(array), "%s", text)
		for i, value := range array {
			assert.Equal(t, string(value), string(items[i].value), "%s", text)
		}
		return
	}
	assert.Empty(t, items, "%s", text)
}

func TestItems_RandomJSON(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		assertWalksLikeEncodingJSON(t, randomJSON(random, 5))
	}
}

// randomJSON makes a valid value with every kind of token, escape and white space.
func randomJSON(random *rand.Rand, depth int) []byte {
	scalars := []string{
		"0", "-0", "12", "-3.5e+7", "1E400", "true", "false", "null", `""`, `"a"`, `"\""`, `"\\"`, `"\\\""`, `"]},{["`,
		`"\u0022"`, `"\ud83d\ude00"`, `"\ud83d"`, `"é世"`, `"\/\b\f\n\r\t"`, `"task_id"`,
	}
	if depth == 0 || random.IntN(4) == 0 {
		return []byte(scalars[random.IntN(len(scalars))])
	}
	space := func() string { return []string{"", "", " ", "\n\t", "\r "}[random.IntN(5)] }
	var b bytes.Buffer
	isObject := random.IntN(2) == 0
	b.WriteString(map[bool]string{true: "{", false: "["}[isObject] + space())
	for i := range random.IntN(5) {
		if i > 0 {
			b.WriteString("," + space())
		}
		if isObject {
			key := scalars[8+random.IntN(len(scalars)-8)]
			b.WriteString(key + space() + ":" + space())
		}
		b.Write(randomJSON(random, depth-1))
		b.WriteString(space())
	}
	b.WriteString(map[bool]string{true: "}", false: "]"}[isObject])
	return b.Bytes()
}

func TestItems_CutAnywhere(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		text := string(randomJSON(random, 4))
		whole := walk(text)
		for n := range text {
			assertItemsOfPrefix(t, whole, text[:n])
		}
	}
}

func TestItems_EndsForGood(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"end": `[1]`, "cut": `[1,"x`, "broken": `{"a":1,"b" 2,"c":3}`, "no value": `{"a":1,"b":}`, "no walk": `7`,
	} {
		it := lenientjson.Value(text).Items()
		for it.Next() {
			require.NotEmpty(t, it.Value(), name)
		}
		assert.False(t, it.Next(), name)
		assert.False(t, it.Next(), name)
	}
}

func TestTrimLeft(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a \n", lenientjson.TrimLeft(" \n\t\ra \n"))
	assert.Equal(t, "\va", lenientjson.TrimLeft("\va"))
	assert.Empty(t, lenientjson.TrimLeft(" \n\t\r"))
	assert.Empty(t, lenientjson.TrimLeft(""))
}

// Quadratic time would be minutes to hours for each of these texts.
func TestItems_LinearTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ start, repeated string }{
		"nested arrays":           {"", "["},
		"nested objects":          {"", `{"a":`},
		"nested behind strings":   {"", `["]",`},
		"endless string":          {`["`, "a"},
		"endless escapes":         {`["`, `\"`},
		"endless key":             {`{"`, "a"},
		"endless number":          {"[", "1"},
		"endless white space":     {"[", " "},
		"closing brackets":        {"[", "]"},
		"many strings":            {"[", `"a",`},
		"many numbers":            {"[", "1,"},
		"many members":            {"{", `"a":1,`},
		"many escaped keys":       {"{", `"\u0061":1,`},
		"many empty arrays":       {"[", "[],"},
		"many unbalanced strings": {`[[`, `"\",`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			size := 2 << 20
			if strings.HasPrefix(name, "nested") {
				size = 10 << 20
			}
			if testkit.UnderRace() { // which is slow
				size /= 8
			}
			text := lenientjson.Value(tt.start + strings.Repeat(tt.repeated, size/len(tt.repeated)))
			done := make(chan struct{})
			go func() {
				defer close(done)
				for it := text.Items(); it.Next(); { //nolint:revive // only its time matters
				}
				text.Member("none")
			}()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Fatal("still walking after a minute")
			}
		})
	}
}

func TestItems_CopiesNothing(t *testing.T) { //nolint:paralleltest // measures what the process allocates
	text := lenientjson.Value(`{"a":[` + strings.Repeat(`{"b":"`+strings.Repeat("x", 10<<10)+`","c":1},`, 100) + `]}`)
	members := 0
	allocated := testkit.Allocations(func() {
		for it := text.Member("a").Items(); it.Next(); {
			for inner := it.Value().Items(); inner.Next(); {
				members++
			}
			require.Empty(t, it.Value().Member("none"))
		}
	})
	require.Equal(t, 200, members)
	assert.Less(t, allocated, int64(len(text)/10))
}

// A number or a word is what encoding/json takes for one.
func TestItems_NumbersAndWords(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0", "-0", "7", "70", "-7", "007", "-01", "00", "-", "--1", "+1", "1.", ".5", "0.5", "-0.50", "1.5.2", "1e5", "1E5", "1e+5", "1e-5", "1e", "1e+",
		"1e+-5", "1e5.5", "0e0", "00.5", "1x", "x1", "0x1f", "1_000", "NaN", "Infinity", "true", "false", "null", "True", "tru", "nulls", "true1", "1true", "'1'", "\x001", "1\x00",
	} {
		items := lenientjson.Value("[" + text + "]").Items()
		assert.Equal(t, json.Valid([]byte(text)), items.Next(), "%q", text)
		assert.Equal(t, json.Valid([]byte(text)), lenientjson.Value(" "+text+"\n").Valid(), "%q", text)
	}
}

// A walk to the end finds the same texts valid as encoding/json does.
func TestItems_Valid(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, text := range []string{
		`{}`, `[]`, ` { } `, " [\n]\t", `{"a":1}`, `[1]`, `[1,2]`, `{"a":1,"b":{"c":[{}, [ ] ,"x"]}}`, `{"a":1,"a":2}`, `{"\u0061":"\ud83d"}`, "{\"a\":\"\xff\"}",
		`{`, `[`, `{"a"`, `{"a"}`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{,"a":1}`, `{"a":1,,"b":2}`, `{"a":1 "b":2}`, `{"a" 1}`, `{a:1}`, `{"a":b}`, `{1:2}`,
		`[,]`, `[,1]`, `[1,]`, `[1,,2]`, `[1 2]`, `[x]`, `[1`, `[1:2]`, `[1}`, `{"a":1]`, `{} x`, `{}{}`, `[]]`, `[1]]`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":{"b"}}`, `{"a":{"b":}}`,
		`{"a":{,}}`, `{"a":{"b":1,}}`, `{"a":{"b":1]}`, `{"a":{"b":1 "c":2}}`, `{"a":{b:1}}`, `{"a":[[}]]}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"\x":1}`, "{\"a\":\"\n\"}", "{\"a\n\":1}",
		"{\"a\":\"\x00\"}", "{\"a\":\"\x06b\"}", "{\"a\":\"\x1fu0041\"}", `{"a":"\"}`, `{"a":01}`, `{"a":-}`, `{"a":tru}`, `["\""]`, `["\\"]`, `[[]`, `{"a":{}`, deep(10_000), deep(10_001), `{"a":` + deep(9_999) + `}`, `{"a":` + deep(10_000) + `}`,
	} {
		items := lenientjson.Value(text).Items()
		for items.Next() {
		}
		assert.Equal(t, json.Valid([]byte(text)), items.Valid(), "%.80s", text)
		assert.Equal(t, json.Valid([]byte(text)), lenientjson.Value(text).Valid(), "%.80s", text)
	}
	for _, text := range []string{"", "7", "null", `"x"`, "x"} { // neither an object nor an array
		items := lenientjson.Value(text).Items()
		assert.False(t, items.Next() || items.Valid(), "%q", text)
		assert.Equal(t, json.Valid([]byte(text)), lenientjson.Value(text).Valid(), "%q", text)
	}
}
