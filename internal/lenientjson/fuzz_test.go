package lenientjson_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/lenientjson"
)

// FuzzWalk compares the walk of valid JSON with encoding/json, and the walk of any text with that of the text cut off.
func FuzzWalk(f *testing.F) {
	for _, text := range []string{
		``, ` `, `null`, `[]`, `{}`, `"x"`, `7`, "\uFEFF{}", `{"task_id":"7"}`, `{"task_id":916205061116293121,"state":"CREATED"}`,
		`{"task_id":"7","task_id":"8"}`, `{"TASK_ID":"9","task\u005fid":"7"}`, `{"a":1e400,"b":99999999999999999999,"c":null}`,
		`{"task_id":"7"`, `{"task_id":7`, `{"code":"success","data":{"task_id":7,"progress":"100%"}}`, `{"a":"\ud83d\"\n"}`,
		`{"creations":[{"id":9,"video":{"duration":5.04,"resolution":{"width":1,"height":2}}}]}`, "<!DOCTYPE html>", "\xff\xfe",
		`{"a":[[],{}],"b":"\\","task_id":"7"} x`, `{,"task_id":"7"}`, `{"task_id" "7"}`, `{"task_id":"7\`, `[{"task_id":"7"}]`,
		`[1:2]`, `[1 }`, `{"a":[1 2}],"b":[x]]}`, "[1\n,-2e+1\t,true\r]",
	} {
		f.Add([]byte(text), len(text)/2)
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		if json.Valid(text) && utf8.Valid(text) { // encoding/json replaces invalid UTF-8 in keys
			assertWalksLikeEncodingJSON(t, text)
		}
		require.Equal(t, json.Valid(text), lenientjson.Value(text).Valid(), "%s", text)
		trimmed := lenientjson.Value(lenientjson.TrimLeft(string(text)))
		if items := trimmed.Items(); trimmed.IsObject() || trimmed.IsArray() {
			for items.Next() {
			}
			require.Equal(t, json.Valid(text), items.Valid(), "%s", text)
		}
		whole := walk(string(text))
		for _, it := range whole {
			if it.value.IsString() {
				require.Equal(t, byte('"'), it.value[len(it.value)-1], "%s", text)
			} else if !it.value.IsObject() && !it.value.IsArray() {
				require.True(t, json.Valid([]byte(it.value)), "%s", text)
			}
		}
		if 0 <= cut && cut < len(text) {
			assertItemsOfPrefix(t, whole, string(text[:cut]))
		}
	})
}

// FuzzStr compares the content of strings with encoding/json's, and what a walk takes for their names.
func FuzzStr(f *testing.F) {
	for _, text := range []string{``, `a`, `\n`, `\u00e9`, `\ud83d\ude00`, `\ud83d`, `\ud83d\u0041`, `\udE00`, `\q`, `\u12`, "\xff\\/", `\"\\`, `\uD83D\uD83D\uDE00`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := []byte(`"` + text + `"`)
		if !json.Valid(quoted) {
			return
		}
		var want string
		require.NoError(t, json.Unmarshal(quoted, &want))
		require.Equal(t, want, lenientjson.Value(quoted).Str())
		it := lenientjson.Value("{" + string(quoted) + ":1}").Items()
		require.True(t, it.Next())
		require.Equal(t, want, string([]rune(it.Key())))
	})
}
