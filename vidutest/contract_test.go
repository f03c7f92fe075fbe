package vidutest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// fields change a good create: nil removes a field.
type fields map[string]any

// subjects returns the fields of a create whose subjects are the given JSON objects.
func subjects(objects ...string) fields {
	return fields{"images": nil, "subjects": json.RawMessage("[" + strings.Join(objects, ",") + "]")}
}

func repeat(n int, text string) []string {
	return strings.Split(strings.TrimSuffix(strings.Repeat(text+"\n", n), "\n"), "\n")
}

const (
	picture = "https://a.example/1.png"
	film    = "https://a.example/1.mp4"
)

// Every row is a create that the documents of the API forbid.
func TestCreate_RefusesWhatTheContractForbids(t *testing.T) {
	t.Parallel()
	const (
		lacking, invalid, unwanted = "FieldLacking", "FieldInvalid", "FieldUnwanted"
		count                      = "FieldItemCountOutOfRange"
		media                      = `"images":["` + picture + `"]`
	)
	for name, test := range map[string]struct {
		endpoint        string // "" is reference2video
		set             fields
		reason, message string
	}{
		// Fields that the endpoint does not document.
		"misspelt":                    {"", fields{"pormpt": "p"}, unwanted, "reference2video has no field pormpt"},
		"misspelt and lacking":        {"", fields{"prompt": nil, "pormpt": "p"}, unwanted, "pormpt"},
		"upper case":                  {"", fields{"Model": "viduq2"}, unwanted, "Model"},
		"only upper case":             {"", fields{"SEED": 7}, unwanted, "SEED"},
		"new":                         {"", fields{"enhance": true}, unwanted, "enhance"},
		"null":                        {"", fields{"enhance": json.RawMessage("null")}, unwanted, "enhance"},
		"only echoed":                 {"", fields{"cus_priority": 1}, unwanted, "cus_priority"},
		"echoed, an id":               {"", fields{"client_request_id": "1"}, unwanted, "client_request_id"},
		"of an endpoint":              {"", fields{"voice_id": "v"}, unwanted, "voice_id"},
		"no name":                     {"", fields{"": 1}, unwanted, "reference2video has no field"},
		"of text":                     {"text2video", fields{"enhance": true}, unwanted, "text2video has no field enhance"},
		"of an image":                 {"img2video", fields{"enhance": true}, unwanted, "img2video has no field enhance"},
		"of frames":                   {"start-end2video", fields{"enhance": true}, unwanted, "enhance"},
		"of a subject":                {"", subjects(`{"nam":"a","name":"a",` + media + `}`), unwanted, "subjects[0] has no field nam"},
		"of the second subject":       {"", subjects(`{"name":"a",`+media+`}`, `{"name":"b","Images":[],`+media+`}`), unwanted, "subjects[1] has no field Images"},
		"null in a subject":           {"", subjects(`{"name":"a","voice_id":null,` + media + `}`), invalid, "subjects[0].voice_id is null"},
		"null in place of images":     {"", subjects(`{"name":"a","server_id":"1","images":null}`), invalid, "subjects[0].images is null"},
		"null in place of a subject":  {"", subjects(`null`), invalid, "subjects[0].name"},
		"null in place of an image":   {"", fields{"images": []any{nil}}, invalid, "images[0]"},
		"null in place of audio":      {"", fields{"audio": json.RawMessage("null")}, invalid, "audio must be true or false"},
		"empty resolution":            {"", fields{"resolution": ""}, invalid, "resolution is empty"},
		"empty movement_amplitude":    {"img2video", fields{"movement_amplitude": ""}, invalid, "movement_amplitude is empty"},
		"automatic duration of q2":    {"", fields{"model": "viduq2", "duration": 0}, invalid, "duration 0 is not supported by viduq2"},
		"blank instead of an address": {"", fields{"callback_url": " "}, invalid, "callback_url"},

		// Subjects.
		"images and subjects":        {"", fields{"subjects": []any{fields{"name": "a", "images": []string{picture}}}}, unwanted, "exclude each other"},
		"videos and subjects":        {"", fields{"images": nil, "videos": []string{film}, "subjects": []any{fields{"name": "a", "images": []string{picture}}}}, unwanted, "exclude each other"},
		"subject without media":      {"", subjects(`{"name":"a"}`), lacking, "subjects[0].images is required"},
		"subject with empty lists":   {"", subjects(`{"name":"a","images":[],"videos":[]}`), lacking, "subjects[0].images is required"},
		"subject with a voice alone": {"", subjects(`{"name":"a",`+media+`}`, `{"id":"b","voice_id":"v"}`), lacking, "subjects[1].images is required"},
		"four images in a subject":   {"", fields{"images": nil, "subjects": []any{fields{"name": "a", "images": repeat(4, picture)}}}, count, "subjects[0] has 4 images and videos, 1 to 3"},
		"four media in a subject":    {"", fields{"images": nil, "subjects": []any{fields{"name": "a", "images": repeat(3, picture), "videos": repeat(1, film)}}}, count, "4 images and videos"},
		"two videos in a subject":    {"", fields{"images": nil, "subjects": []any{fields{"name": "a", "videos": repeat(2, film)}}}, count, "subjects[0].videos has 2 items"},
		"empty link in a subject":    {"", subjects(`{"name":"a","images":[""]}`), invalid, "subjects[0].images[0]"},
		"file in a subject":          {"", subjects(`{"name":"a","videos":["file:///a.mp4"]}`), invalid, "subjects[0].videos[0]"},
		"five subjects with images":  {"", subjects(repeat(5, `{"name":"a",`+media+`}`)...), count, "subjects with images"},
		"three subjects with videos": {"", subjects(repeat(3, `{"name":"a","videos":["`+film+`"]}`)...), count, "subjects with videos"},
		"video in a subject of q2":   {"", merge(subjects(`{"name":"a","videos":["`+film+`"]}`), fields{"model": "viduq2"}), unwanted, "viduq2 takes no videos"},
		"subjects of q3-mix":         {"", merge(subjects(`{"name":"a",`+media+`}`), fields{"model": "viduq3-mix"}), unwanted, "viduq3-mix takes no subjects"},
		"subjects of 1.5":            {"", merge(subjects(`{"name":"a",`+media+`}`), fields{"model": "vidu1.5", "duration": 4}), unwanted, "vidu1.5 takes no subjects"},

		// Media.
		"seven images beside a video": {"", fields{"images": repeat(7, picture), "videos": []string{film}}, count, "images has 7 items, beside videos 1 to 4 are allowed"},
		"five images beside a video":  {"", fields{"images": repeat(5, picture), "videos": []string{film}}, count, "images has 5 items"},
		"video of q2":                 {"", fields{"model": "viduq2", "videos": []string{film}}, unwanted, "viduq2 takes no videos"},
		"video of q3":                 {"", fields{"model": "viduq3", "videos": []string{film}}, unwanted, "viduq3 takes no videos"},
		"eight images":                {"", fields{"images": repeat(8, picture)}, count, "images: 8 are too many for viduq2-pro, which takes 7"},
		"four images of 1.5":          {"", fields{"model": "vidu1.5", "duration": 4, "images": repeat(4, picture)}, count, "which takes 3"},
		"file":                        {"", fields{"images": []string{picture, "file:///tmp/hero.png"}}, invalid, "images[1] must be an absolute http or https URL"},
		"file without slashes":        {"", fields{"images": []string{"file:hero.png"}}, invalid, "images[0]"},
		"file name":                   {"", fields{"images": []string{"hero.png"}}, invalid, "images[0]"},
		"path":                        {"", fields{"images": []string{"/tmp/hero.png"}}, invalid, "images[0]"},
		"no scheme":                   {"", fields{"images": []string{"//a.example/hero.png"}}, invalid, "images[0]"},
		"no host":                     {"", fields{"images": []string{"https:///hero.png"}}, invalid, "images[0]"},
		"port without a host":         {"", fields{"images": []string{"https://:443/hero.png"}}, invalid, "images[0]"},
		"ftp":                         {"", fields{"images": []string{"ftp://a.example/hero.png"}}, invalid, "images[0]"},
		"s3":                          {"", fields{"images": []string{"s3://bucket/hero.png"}}, invalid, "images[0]"},
		"bare base64":                 {"", fields{"images": []string{pngDigits}}, invalid, "images[0]"},
		"blank before a link":         {"", fields{"images": []string{" " + picture}}, invalid, "images[0]"},
		"line end in a link":          {"", fields{"images": []string{picture + "\n"}}, invalid, "images[0]"},
		"bad escape in a link":        {"", fields{"images": []string{"https://a.example/%zz"}}, invalid, "images[0]"},
		"file as a video":             {"", fields{"videos": []string{"file:a.mp4"}}, invalid, "videos[0]"},
		"file as a sound":             {"", fields{"sounds": []string{"a.mp3"}}, invalid, "sounds[0]"},
		"file as an only image":       {"img2video", fields{"images": []string{"hero.png"}}, invalid, "images[0]"},
		"file as a last frame":        {"start-end2video", fields{"images": []string{picture, "hero.png"}}, invalid, "images[1]"},
		"sounds without audio":        {"", fields{"sounds": []string{film}, "audio": false}, invalid, "sounds need audio"},

		// Texts.
		"meta_data is text":           {"", fields{"meta_data": "Label=1"}, invalid, "meta_data must be the text of a JSON object"},
		"meta_data is cut":            {"", fields{"meta_data": `{"Label":"1"`}, invalid, "meta_data"},
		"meta_data is a list":         {"", fields{"meta_data": `[{"Label":"1"}]`}, invalid, "meta_data"},
		"meta_data is null":           {"", fields{"meta_data": `null`}, invalid, "meta_data"},
		"meta_data is two":            {"text2video", fields{"meta_data": `{}{}`}, invalid, "meta_data"},
		"callback_url without scheme": {"", fields{"callback_url": "hooks.example.com/vidu"}, invalid, "callback_url must be an absolute http or https URL"},
		"callback_url is a path":      {"img2video", fields{"callback_url": "/vidu"}, invalid, "callback_url"},
		"wm_url is a file":            {"", fields{"wm_url": "file:///mark.png"}, invalid, "wm_url"},
		"wm_url is inline":            {"", fields{"wm_url": "data:image/png;base64," + pngDigits}, invalid, "wm_url"},

		// Values that are not among those documented.
		"resolution":                   {"", fields{"resolution": "8k"}, invalid, `resolution is "8k", not one of 360p, 540p`},
		"resolution in upper case":     {"", fields{"resolution": "720P"}, invalid, "resolution"},
		"resolution without a unit":    {"text2video", fields{"resolution": "1080"}, invalid, "resolution"},
		"resolution in small letters":  {"", fields{"model": "viduq4-preview", "resolution": "2k"}, invalid, "resolution"},
		"resolution of a new model":    {"", fields{"model": "viduq9", "resolution": "480p"}, invalid, "resolution"},
		"aspect_ratio is a word":       {"", fields{"aspect_ratio": "wide"}, invalid, `aspect_ratio is "wide", not a ratio such as 16:9`},
		"aspect_ratio with an x":       {"", fields{"aspect_ratio": "16x9"}, invalid, "aspect_ratio"},
		"aspect_ratio with zero":       {"", fields{"aspect_ratio": "16:0"}, invalid, "aspect_ratio"},
		"aspect_ratio with a fraction": {"", fields{"aspect_ratio": "1.78:1"}, invalid, "aspect_ratio"},
		"aspect_ratio with blanks":     {"", fields{"aspect_ratio": "16 : 9"}, invalid, "aspect_ratio"},
		"aspect_ratio below zero":      {"", fields{"aspect_ratio": "-16:9"}, invalid, "aspect_ratio"},
		"aspect_ratio in upper case":   {"", fields{"aspect_ratio": "AUTO"}, invalid, "aspect_ratio"},
		"aspect_ratio of three":        {"", fields{"aspect_ratio": "16:9:1"}, invalid, "aspect_ratio"},
		"aspect_ratio of q1":           {"", fields{"model": "viduq1", "resolution": "1080p", "aspect_ratio": "21:9"}, invalid, "aspect_ratio 21:9 is not supported by viduq1"},
		"aspect_ratio of text":         {"text2video", fields{"aspect_ratio": "21:9"}, invalid, "aspect_ratio 21:9"},
		"aspect_ratio of text and q1":  {"text2video", fields{"model": "viduq1", "resolution": "1080p", "aspect_ratio": "4:3"}, invalid, "aspect_ratio 4:3"},
		"aspect_ratio left open":       {"text2video", fields{"aspect_ratio": "auto"}, invalid, "aspect_ratio auto"},
		"movement_amplitude":           {"", fields{"movement_amplitude": "huge"}, invalid, `movement_amplitude is "huge", not one of auto, small, medium, large`},
		"movement_amplitude, upper":    {"start-end2video", fields{"movement_amplitude": "Auto"}, invalid, "movement_amplitude"},
		"audio_type":                   {"", fields{"audio_type": "music"}, invalid, `audio_type is "music", not one of all, speech_only, sound_effect_only`},
		"audio_type with a blank":      {"img2video", fields{"audio_type": "all "}, invalid, "audio_type"},
		"style":                        {"text2video", fields{"style": "noir"}, invalid, `style is "noir", not one of general, anime`},
		"duration of q1":               {"", fields{"model": "viduq1", "resolution": "1080p", "duration": 4}, invalid, "duration 4 is not supported by viduq1"},
		"duration of q2-pro":           {"", fields{"duration": 11}, invalid, "duration 11"},
		"duration of q3":               {"", fields{"model": "viduq3", "duration": 2}, invalid, "duration 2"},
		"duration of q3-drama":         {"", fields{"model": "viduq3-drama", "duration": 16}, invalid, "duration 16"},
		"duration of 1.5":              {"", fields{"model": "vidu1.5", "duration": 5}, invalid, "duration 5"},
		"duration of two frames":       {"start-end2video", fields{"duration": 9}, invalid, "duration 9"},
		"automatic duration of text":   {"text2video", fields{"duration": 0}, invalid, "duration 0"},
		"resolution of q1":             {"", fields{"model": "viduq1"}, invalid, "resolution 720p is not supported by viduq1"},
		"resolution of q3-drama":       {"", fields{"model": "viduq3-drama", "resolution": "540p"}, invalid, "resolution 540p"},
		"resolution of 2.0":            {"", fields{"model": "vidu2.0", "duration": 4, "resolution": "1080p"}, invalid, "resolution 1080p"},
		"resolution of 2.0 at 8 s":     {"img2video", fields{"model": "vidu2.0", "duration": 8, "resolution": "1080p"}, invalid, "resolution 1080p"},
		"resolution of a fast model":   {"img2video", fields{"model": "viduq2-pro-fast", "resolution": "540p"}, invalid, "resolution 540p"},
		"4K of q3":                     {"", fields{"model": "viduq3", "resolution": "4K"}, invalid, "resolution 4K"},
		"off_peak of q3-mix":           {"", fields{"model": "viduq3-mix", "off_peak": true}, invalid, "off_peak is not supported by viduq3-mix"},
		"off_peak of q3, silent":       {"", fields{"model": "viduq3", "off_peak": true, "audio": false}, invalid, "off_peak without audio"},
		"off_peak of q2, with audio":   {"", fields{"off_peak": true, "audio": true}, invalid, "off_peak with audio"},
		"duration of 2.0":              {"", fields{"model": "vidu2.0", "resolution": "360p"}, invalid, "duration 5 is not supported by vidu2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()
			endpoint := test.endpoint
			if endpoint == "" {
				endpoint = "reference2video"
			}
			got := createAt(t, s, endpoint, edit(t, goodBodies[endpoint], test.set))
			assertRefused(t, got, http.StatusBadRequest, test.reason, test.message)
			assert.Zero(t, s.Charged())
		})
	}
}

// merge returns both sets of fields in one.
func merge(a, b fields) fields {
	maps.Copy(a, b)
	return a
}

// What stands beside the rows above is accepted.
func TestCreate_AcceptsWhatTheContractAllows(t *testing.T) {
	t.Parallel()
	const media = `"images":["` + picture + `"]`
	for name, test := range map[string]struct {
		endpoint string
		set      fields
	}{
		"stored subject":              {"", subjects(`{"name":"a","server_id":"1"}`)},
		"subject with three images":   {"", fields{"images": nil, "subjects": []any{fields{"name": "a", "images": repeat(3, picture)}}}},
		"subject with both":           {"", fields{"images": nil, "subjects": []any{fields{"name": "a", "images": repeat(2, picture), "videos": repeat(1, film)}}}},
		"four subjects with images":   {"", subjects(repeat(4, `{"name":"a",`+media+`}`)...)},
		"two subjects with videos":    {"", subjects(repeat(2, `{"name":"a","videos":["`+film+`"]}`)...)},
		"seven subjects of q2":        {"", merge(subjects(repeat(7, `{"name":"a",`+media+`}`)...), fields{"model": "viduq2"})},
		"four images beside a video":  {"", fields{"images": repeat(4, picture), "videos": []string{film}}},
		"scheme in capitals":          {"", fields{"images": []string{"HTTPS://a.example/1.png"}}},
		"signed link":                 {"", fields{"images": []string{"http://a.example:9000/1.png?a=%253A;b"}}},
		"address in brackets":         {"", fields{"images": []string{"http://[::1]/1.png"}}},
		"metadata":                    {"", fields{"meta_data": `{"Label":"1","New":{"a":[1]}}`}},
		"no metadata":                 {"", fields{"meta_data": "", "callback_url": "", "wm_url": "", "aspect_ratio": "", "audio_type": ""}},
		"hook":                        {"", fields{"callback_url": "http://127.0.0.1:8080/hook?a=b#c"}},
		"mark":                        {"", fields{"wm_url": picture}},
		"any ratio of q2":             {"", fields{"aspect_ratio": "21:9"}},
		"any ratio of a new model":    {"", fields{"model": "viduq9", "aspect_ratio": "2:1"}},
		"open ratio":                  {"", fields{"model": "viduq1", "resolution": "1080p", "aspect_ratio": "auto"}},
		"4K":                          {"", fields{"model": "viduq4-preview", "resolution": "4K"}},
		"off-peak of q3":              {"", fields{"model": "viduq3", "off_peak": true}},
		"off-peak of q2, silent":      {"", fields{"off_peak": true, "audio": false}},
		"sounds":                      {"", fields{"model": "viduq4-preview", "sounds": []string{film}}},
		"8 s of 2.0":                  {"img2video", fields{"model": "vidu2.0", "duration": 8}},
		"4 s of 2.0":                  {"img2video", fields{"model": "vidu2.0", "duration": 4, "resolution": "1080p"}},
		"anime":                       {"text2video", fields{"style": "anime"}},
		"ratio of q1":                 {"text2video", fields{"model": "viduq1", "resolution": "1080p", "aspect_ratio": "9:16"}},
		"model of another endpoint":   {"", fields{"model": "viduq3-pro"}}, // gateways sell it
		"a new model's long video":    {"", fields{"model": "viduq9", "duration": 16, "off_peak": true, "audio": true}},
		"two whole surrogates":        {"", fields{"prompt": json.RawMessage(`"\ud83d\ude00\uD83D\uDE00"`)}},
		"escapes":                     {"", fields{"prompt": json.RawMessage(`"\u0041\n\u00e9\\ud83d"`)}},
		"the same name in two places": {"", subjects(`{"name":"a",`+media+`}`, `{"name":"a",`+media+`}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()
			endpoint := test.endpoint
			if endpoint == "" {
				endpoint = "reference2video"
			}
			got := createAt(t, s, endpoint, edit(t, goodBodies[endpoint], test.set))
			assert.Equal(t, http.StatusOK, got.status, got.body)
		})
	}
}

// A text that readers understand in different ways is refused at any depth, whatever the endpoint.
func TestCreate_RefusesAmbiguousText(t *testing.T) {
	t.Parallel()
	const twice, text = "is there twice", "not valid Unicode"
	insert := func(field string) string { return strings.Replace(goodBody, "{", "{"+field+",", 1) }
	inSubject := func(field string) string {
		return strings.Replace(goodBody, `"images"`, `"subjects":[{"id":"b","images":["`+picture+`"]},{"id":"a",`+field+`}],"videos"`, 1)
	}
	for name, test := range map[string]struct{ body, message string }{
		"twice":                         {insert(`"model":"viduq2"`), `"model" ` + twice},
		"twice, the same":               {insert(`"seed":0`), `"seed" ` + twice},
		"twice, null":                   {insert(`"seed":null`), `"seed" ` + twice},
		"twice by an escape":            {insert(`"\u006dodel":"viduq2"`), `"model" ` + twice},
		"twice, a payload":              {insert(`"payload":"a","payload":"b"`), `"payload" ` + twice},
		"twice, unknown":                {insert(`"x":1,"x":2`), `"x" ` + twice},
		"twice in a subject":            {inSubject(`"name":"a","name":"b"`), `"name" ` + twice},
		"twice in a subject, lists":     {inSubject(`"images":["` + picture + `"],"images":[]`), `"images" ` + twice},
		"twice in what is unknown":      {insert(`"x":[[{"y":{"a":1,"b":2,"a":3}}]]`), `"a" ` + twice},
		"Latin-1 in the prompt":         {strings.Replace(goodBody, "waved", "wav\xe9d", 1), text},
		"half a rune at the end":        {strings.Replace(goodBody, "waved.", "waved\xe7\x95", 1), text},
		"overlong rune":                 {strings.Replace(goodBody, "waved", "wav\xc0\xafd", 1), text},
		"surrogate as bytes":            {strings.Replace(goodBody, "waved", "\xed\xa0\xbd", 1), text},
		"Latin-1 in the payload":        {insert(`"payload":"caf` + "\xe9" + `"`), text},
		"Latin-1 in a name":             {insert(`"caf` + "\xe9" + `":1`), text},
		"Latin-1 in a subject":          {inSubject(`"name":"` + "\xff" + `"`), text},
		"Latin-1 in a link":             {strings.Replace(goodBody, "hero", "h\xe9ro", 1), text},
		"Latin-1 far in":                {insert(`"payload":"` + strings.Repeat("x", 10_000) + "\xe9" + `"`), text},
		"half a pair":                   {strings.Replace(goodBody, "waved", `\ud83d`, 1), text},
		"half a pair, more text":        {strings.Replace(goodBody, "waved", `\ud83d waved`, 1), text},
		"half a pair, an escape":        {strings.Replace(goodBody, "waved", `\ud83d\n`, 1), text},
		"half a pair, another half":     {strings.Replace(goodBody, "waved", `\ud83d\ud83d\ude00`, 1), text},
		"second half of a pair":         {strings.Replace(goodBody, "waved", `\uDE00`, 1), text},
		"halves the wrong way round":    {strings.Replace(goodBody, "waved", `\ude00\ud83d`, 1), text},
		"half a pair in a link":         {strings.Replace(goodBody, "hero", `\ud83d`, 1), text},
		"half a pair at a string's end": {strings.Replace(goodBody, "waved.", `waved\uDBFF`, 1), text},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, opts := range [][]vidutest.Option{nil, {vidutest.WithUnknownFields()}, {vidutest.WithEndpoint("lip-sync")}} {
				s := vidutest.NewServer(append(opts, vidutest.InMemory())...)
				defer s.Close()
				assertRefused(t, create(t, s, test.body), http.StatusBadRequest, "BadRequest", test.message)
				if len(opts) > 0 {
					got := createAt(t, s, "lip-sync", test.body)
					assert.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, got.status)
				}
				assert.Zero(t, s.Charged())
				assert.True(t, s.Requests()[0].Complete)
			}
		})
	}
}

// A rune is not torn by the pieces in which a body arrives.
func TestCreate_RunesInPieces(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	for shift := range 5 {
		payload := strings.Repeat("x", shift) + strings.Repeat("界😀é", 3000)
		got := create(t, s, with(t, "payload", string(encode(t, payload))))
		require.Equal(t, http.StatusOK, got.status, got.body)
		assert.Equal(t, payload, decode(t, got.body)["payload"])
	}
}

// What a gateway sells under the name of another endpoint's model, the vendor refuses.
func TestCreate_ModelOfAnotherEndpoint(t *testing.T) {
	t.Parallel()
	for model, status := range map[string]int{"viduq3-pro": 400, "viduq1-classic": 400, "viduq2": 200, "viduq9": 200} {
		s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
		defer s.Close()
		got := ask(t, s, http.MethodPost, "/ent/v2/reference2video", strings.Replace(officialBody, "viduq2", model, 1))
		assert.Equal(t, status, got.status, got.body)
		assert.Equal(t, status/200%2, s.Charged())
	}
}

// A field that may be missing has the default of its model.
func TestCreate_DefaultsOfTheModel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		endpoint, model string
		set             fields
		duration        float64
		resolution      string
	}{
		"q2":          {"reference2video", "viduq2", nil, 5, "720p"},
		"q1":          {"reference2video", "viduq1", nil, 5, "1080p"},
		"2.0":         {"reference2video", "vidu2.0", nil, 4, "360p"},
		"2.0, image":  {"img2video", "vidu2.0", nil, 4, "360p"},
		"2.0, 8 s":    {"img2video", "vidu2.0", fields{"duration": 8}, 8, "720p"},
		"new":         {"reference2video", "viduq9", nil, 5, "720p"},
		"empty":       {"reference2video", "viduq1", fields{"resolution": ""}, 5, "1080p"},
		"not default": {"reference2video", "viduq2", fields{"duration": 9, "resolution": "1080p"}, 9, "1080p"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
			defer s.Close()
			body := edit(t, officialBody, merge(fields{"model": test.model}, test.set))
			got := decode(t, ask(t, s, http.MethodPost, "/ent/v2/"+test.endpoint, body).body)
			assert.Equal(t, test.duration, got["duration"]) //nolint:testifylint // a whole number
			assert.Equal(t, test.resolution, got["resolution"])
		})
	}
}

func TestWithUnknownFields(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithUnknownFields())
	defer s.Close()
	for name, set := range map[string]fields{
		"new":          {"enhance": json.RawMessage(`{"deep":[[{}],"data:"]}`)},
		"items":        {"effects": json.RawMessage(`["data:"]`)},
		"names":        {"effects": json.RawMessage(`{"data:":1,"data:#":[{"x":1,"data:":2}]}`)},
		"other case":   {"Model": "viduq3"},
		"other's":      {"voice_id": "v", "is_rec": true},
		"in a subject": subjects(`{"name":"a","enhance":null,"images":["` + picture + `"]}`),
	} {
		got := create(t, s, edit(t, goodBody, set))
		require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.body)
		assert.Equal(t, "viduq2-pro", decode(t, got.body)["model"], name)
		assert.Equal(t, false, decode(t, got.body)["is_rec"], name)
	}
	assertRefused(t, create(t, s, with(t, "resolution", `"8k"`)), http.StatusBadRequest, "FieldInvalid", "resolution")
}
