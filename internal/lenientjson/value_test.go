package lenientjson_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/lenientjson"
)

func TestValue_Kinds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: "null empty", `null`: "null empty", `""`: "string empty", `{}`: "object empty", `[]`: "array empty", `false`: "empty",
		`{"a":1}`: "object", `{"a`: "object", `[1]`: "array", `[`: "array", `"x"`: "string", `"`: "",
		`0`: "number", `9`: "number", `-1`: "number", `5.5`: "number", `true`: "", `nul`: "", `/`: "", `:`: "", `{ }`: "object",
	} {
		v := lenientjson.Value(text)
		got := []string{}
		for _, kind := range []struct {
			name string
			is   bool
		}{
			{"object", v.IsObject()},
			{"array", v.IsArray()},
			{"string", v.IsString()},
			{"number", v.IsNumber()},
			{"null", v.IsNull()},
			{"empty", v.IsEmpty()},
		} {
			if kind.is {
				got = append(got, kind.name)
			}
		}
		assert.Equal(t, want, strings.Join(got, " "), "%s", text)
	}
}

func TestValue_Member(t *testing.T) {
	t.Parallel()
	v := lenientjson.Value(`{"A":0,"a":1,"b\u005f":"x","a":2,"n":null,"cut":{"d":[1,`)
	assert.Equal(t, "1", string(v.Member("a")), "the first of two, in the exact case")
	assert.Equal(t, `"x"`, string(v.Member("b_")))
	assert.Equal(t, "null", string(v.Member("n")))
	assert.Equal(t, "[1,", string(v.Member("cut").Member("d")))
	assert.Empty(t, v.Member("e"))
	assert.Empty(t, v.Member("e").Member("f"))
	assert.Empty(t, lenientjson.Value(`"a"`).Member("a"))
	assert.Equal(t, "1", string(lenientjson.Value(`[1,2]`).Member("")), "elements have the name \"\"")
}

func TestValue_Text(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]struct{ str, text string }{
		`"x"`:                         {"x", "x"},
		`""`:                          {"", ""},
		`"a\"\\\/\b\n\u00e9"`:         {"a\"\\/\b\né", "a\"\\/\b\né"},
		`"\ud83d\ude00"`:              {"\U0001F600", "\U0001F600"},
		`"\ud83d"`:                    {"\uFFFD", "\uFFFD"},
		"\"a\xffb\"":                  {"a\uFFFDb", "a\uFFFDb"},
		`"\q"`:                        {"", ""},
		`"a\u12"`:                     {"", ""},
		`"a\u00g0"`:                   {"", ""},
		`"a\u00@0"`:                   {"", ""},
		"\"a\\u00`0\"":                {"", ""},
		`"a\uD83D\uDE00\ude00"`:       {"a\U0001F600\uFFFD", "a\U0001F600\uFFFD"},
		`"\ud83d\u0041"`:              {"\uFFFDA", "\uFFFDA"},
		`"\ud83dx\uFFFD"`:             {"\uFFFDx\uFFFD", "\uFFFDx\uFFFD"},
		"\"\\u00e9\xff\xfe\xe4\xb8\"": {"é\uFFFD\uFFFD\uFFFD\uFFFD", "é\uFFFD\uFFFD\uFFFD\uFFFD"},
		"\"a\nb\"":                    {"a\nb", "a\nb"},
		`916205061116293121`:          {"", "916205061116293121"},
		`-1.50`:                       {"", "-1.50"},
		`1E400`:                       {"", "1E400"},
		`null`:                        {"", ""},
		`true`:                        {"", ""},
		`["x"]`:                       {"", ""},
		`{"a":"x"}`:                   {"", ""},
		``:                            {"", ""},
		`"`:                           {"", ""},
	} {
		assert.Equal(t, want.str, lenientjson.Value(value).Str(), "%s", value)
		assert.Equal(t, want.text, lenientjson.Value(value).Text(), "%s", value)
		assert.Equal(t, want.text, lenientjson.Value(value).Shared(), "%s", value)
	}
}

// Every byte at every place of a string, with what may be found too early or too late directly behind it.
func TestValue_EveryByte(t *testing.T) {
	t.Parallel()
	for size := range 18 {
		for at := range size + 1 {
			for c := range 256 {
				for _, behind := range []string{"", `"`, `\`, `\n`, "\x1f", "é", "\xff"} {
					content := strings.Repeat("a", at) + string([]byte{byte(c)}) + behind + strings.Repeat("a", size-at)
					text := `"` + content + `"`
					var want string
					valid := json.Unmarshal([]byte(text), &want) == nil
					if v := lenientjson.Value(text); v.Valid() != valid || (valid && v.Str() != want) {
						require.Fail(t, "not as encoding/json reads it", "%q: valid %t, %q; want %t, %q", text, v.Valid(), v.Str(), valid, want)
					}
				}
			}
		}
	}
}

func TestValue_ReadTexts(t *testing.T) {
	t.Parallel()
	for value, tt := range map[string]struct {
		want []string
		ok   bool
	}{
		`["a",7,"b"]`: {[]string{"a", "7", "b"}, true},
		`["a",null]`:  {[]string{"a", ""}, true},
		`["a","b`:     {[]string{"a"}, true},
		`["a",[1]]`:   {[]string{"a", ""}, true},
		`[]`:          {nil, true},
		`{}`:          {nil, true},
		`""`:          {nil, true},
		`false`:       {nil, true},
		`null`:        {nil, true},
		``:            {nil, true},
		`"a"`:         {nil, false},
		`7`:           {nil, false},
		`true`:        {nil, false},
		`{"a":"b"}`:   {[]string{"b"}, false},
	} {
		got := []string{"before"}
		assert.Equal(t, tt.ok, lenientjson.Value(value).ReadTexts(&got), "%s", value)
		assert.Equal(t, tt.want, got, "%s", value)
	}
}

func TestValue_ReadNumber(t *testing.T) {
	t.Parallel()
	const before = -77
	for value, tt := range map[string]struct {
		want float64
		ok   bool
	}{
		`5.04`:     {5.04, true},
		`-1e3`:     {-1000, true},
		`"5.04"`:   {5.04, true},
		`"100%"`:   {100, true},
		`"0.5%"`:   {0.5, true},
		`0`:        {0, true},
		`1e308`:    {1e308, true},
		`1e400`:    {before, false},
		`"-1e400"`: {before, false},
		`"NaN"`:    {before, false},
		`"Inf"`:    {before, false},
		`"-inf"`:   {before, false},
		`"100%%"`:  {before, false},
		`"5 s"`:    {before, false},
		`"%"`:      {before, true},
		`""`:       {before, true},
		`null`:     {before, true},
		``:         {before, true},
		`true`:     {before, false},
		`false`:    {before, false},
		`[]`:       {before, false},
		`{}`:       {before, false},
		`[1]`:      {before, false},
	} {
		got := float64(before)
		assert.Equal(t, tt.ok, lenientjson.Value(value).ReadNumber(&got), "%s", value)
		assert.InDelta(t, tt.want, got, 0, "%s", value)
	}
}

func TestValue_ReadInt(t *testing.T) {
	t.Parallel()
	const before = -77
	for value, tt := range map[string]struct {
		want int
		ok   bool
	}{
		`5`:                    {5, true},
		`-5`:                   {-5, true},
		`"5"`:                  {5, true},
		`4.0`:                  {4, true},
		`"4.0"`:                {4, true},
		`1e2`:                  {100, true},
		`-1e2`:                 {-100, true},
		`"50%"`:                {50, true},
		`4.5`:                  {before, false},
		`9007199254740993`:     {9007199254740993, true}, // 2^53 + 1: no float64
		`9223372036854775807`:  {math.MaxInt64, true},
		`9223372036854775808`:  {before, false},
		`99999999999999999999`: {before, false},
		`2147483647.0`:         {math.MaxInt32, true},
		`2147483648.0`:         {before, false},
		`-2147483647.0`:        {-math.MaxInt32, true},
		`-2147483648.0`:        {before, false},
		`1e400`:                {before, false},
		`"NaN"`:                {before, false},
		`"x"`:                  {before, false},
		`true`:                 {before, false},
		`[5]`:                  {before, false},
		`{}`:                   {before, false},
		`null`:                 {0, true},
		`""`:                   {0, true},
		``:                     {0, true},
	} {
		got := before
		assert.Equal(t, tt.ok, lenientjson.Value(value).ReadInt(&got), "%s", value)
		assert.Equal(t, tt.want, got, "%s", value)
	}
}

func TestValue_ReadRounded(t *testing.T) {
	t.Parallel()
	const before = -77
	for value, tt := range map[string]struct {
		want int
		ok   bool
	}{
		`7.5`:                {8, true},
		`"7.001"`:            {8, true},
		`-7.5`:               {-7, true},
		`7`:                  {7, true},
		`7.0`:                {7, true},
		`2147483646.5`:       {math.MaxInt32, true},
		`9007199254740993`:   {9007199254740993, true}, // as ReadInt
		`9007199254740993.5`: {before, false},
		`1e19`:               {before, false},
		`-1e19`:              {before, false},
		`1e400`:              {before, false},
		`"x"`:                {before, false},
		`true`:               {before, false},
		`{}`:                 {before, false},
		`null`:               {0, true},
	} {
		got := before
		assert.Equal(t, tt.ok, lenientjson.Value(value).ReadRounded(&got, math.Ceil), "%s", value)
		assert.Equal(t, tt.want, got, "%s", value)
	}
}

func TestValue_ReadBool(t *testing.T) {
	t.Parallel()
	for want, values := range map[bool][]string{
		true:  {`true`, `"true"`, `1`, `"1"`},
		false: {`false`, `"false"`, `0`, `"0"`, `""`, `null`},
	} {
		for _, value := range values {
			got := !want
			assert.True(t, lenientjson.Value(value).ReadBool(&got), "%s", value)
			assert.Equal(t, want, got, "%s", value)
		}
	}
	for _, value := range []string{``, `2`, `-1`, `1.0`, `"yes"`, `"TRUE"`, `[]`, `{}`, `[true]`, `tru`} {
		for _, before := range []bool{true, false} {
			got := before
			assert.False(t, lenientjson.Value(value).ReadBool(&got), "%s", value)
			assert.Equal(t, before, got, "%s", value)
		}
	}
}

func TestValue_ReadTime(t *testing.T) {
	t.Parallel()
	second := time.Date(2025, 11, 10, 15, 3, 1, 0, time.UTC)
	before := time.Unix(77, 0)
	type test struct {
		want time.Time
		ok   bool
	}
	tests := map[string]test{
		`"2025-11-10T23:03:01+08:00"`: {second, true},
		`"2025-11-10T15:03:01Z"`:      {second, true},
		`1762786981`:                  {second, true},
		`"1762786981"`:                {second, true},
		`1762786981000`:               {second, true},
		`"1762786981001"`:             {second.Add(time.Millisecond), true},
		`1`:                           {time.Unix(1, 0).UTC(), true},
		`100000000000`:                {time.Unix(1e11, 0).UTC(), true},
		`100000000001`:                {time.UnixMilli(1e11 + 1).UTC(), true},

		`253402300799999`:             {time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC), true},
		`253402300800000`:             {before, false},
		`9223372036854775807`:         {before, false},
		`9223372036854775808`:         {before, false},
		`"9999-12-31T23:59:59Z"`:      {time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), true},
		`"9999-12-31T23:59:59-01:00"`: {before, false},
		`"0001-01-01T00:00:00Z"`:      {time.Time{}, true},
		`"0001-01-01T00:00:00+01:00"`: {before, false},
		`"0000-01-01T00:00:00Z"`:      {before, false},
		`"2025-11-10T15:03:01+24:00"`: {second.Add(-24 * time.Hour), true}, // an impossible zone

		`null`:                  {before, true},
		`""`:                    {before, true},
		``:                      {before, true},
		`0`:                     {before, true},
		`"0"`:                   {before, true},
		`-1`:                    {before, false},
		`1762786981.5`:          {before, false},
		`1e9`:                   {before, false},
		`"yesterday"`:           {before, false},
		`"2025-11-10 15:03:01"`: {before, false},
		`"2025-11-10T15:03:01"`: {before, false},
		`false`:                 {before, false},
		`true`:                  {before, false},
		`{}`:                    {before, false},
		`[]`:                    {before, false},
		`[1762786981]`:          {before, false},
	}
	for digits := 1; digits <= 9; digits++ {
		fraction := "123456789"[:digits]
		nanoseconds, err := strconv.Atoi((fraction + "000000000")[:9])
		require.NoError(t, err)
		tests[`"2025-11-10T15:03:01.`+fraction+`Z"`] = test{second.Add(time.Duration(nanoseconds)), true}
	}
	for value, tt := range tests {
		got := before
		assert.Equal(t, tt.ok, lenientjson.Value(value).ReadTime(&got), "%s", value)
		assert.Equal(t, tt.want, got, "%s", value)
	}
}

// encoding/json would replace what is no character, and say nothing.
func TestCheckCharacters(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		``: "", `{}`: "", `"a"`: "", `"\ud83d\ude00"`: "", `"\uD83D\uDE00\ud83d\ude00"`: "", `"\\ud800"`: "", `"\\\\ud800"`: "", `"\ufffd"`: "",
		"\"\ufffd\"": "", `"\u0041\n\"\ud7ff\ue000"`: "", `"\u12`: "", `"\`: "", `\u`: "", `"\uzzzz"`: "", `"ud800"`: "",
		`"\ud800"`: "surrogate", `"\udfff"`: "surrogate", `"\uDBFF"`: "surrogate", `"\udc00\ud800"`: "surrogate", `"\ud83d\ud83d\ude00"`: "surrogate",
		`"\ud83d\u0041"`: "surrogate", `"\ud83dx\ude00"`: "surrogate", `"\ud83d\\ude00"`: "surrogate", `"\\\ud800"`: "surrogate", `"\ud83d\ude00\ude00"`: "surrogate",
		`"\ud83d`: "surrogate", `{"a":["\ud800"]}`: "surrogate", `{"\ud800":1}`: "surrogate", `"\n\ud800"`: "surrogate",
		"\"caf\xe9\"": "UTF-8", "\xff": "UTF-8", "\"\xed\xa0\x80\"": "UTF-8", "\"\xf0\x9f\x98\"": "UTF-8",
	} {
		err := lenientjson.CheckCharacters([]byte(text))
		if says == "" {
			assert.NoError(t, err, text)
		} else {
			assert.ErrorContains(t, err, says, text)
		}
	}
}
