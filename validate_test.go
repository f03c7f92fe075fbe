package vidu_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

const anyNumber = 99 // more than these tests send

// documented is what the vendor's pages say of each model, copied by hand and not from the package's own table. Where
// two sources disagree it has the wider one.
var documented = map[vidu.Model]struct {
	from, to         int   // seconds
	only             []int // seconds, instead of from and to
	auto             bool  // automatic duration
	resolutions      string
	images           int // at most
	imagesWithVideos int // at most; 0: no videos
	imageSubjects    int // at most; 0: no subjects
	videoSubjects    int
	offPeak          string // the values of audio with which it runs off-peak
}{
	"viduq3-drama": {from: 2, to: 15, resolutions: "720p 1080p", images: 7, imageSubjects: 7, offPeak: "nil true false"},
	"viduq3-ad":    {from: 3, to: 15, resolutions: "720p 1080p", images: 7, imageSubjects: 7, offPeak: "nil true false"},
	"viduq3-mix":   {from: 1, to: 16, resolutions: "540p 720p 1080p", images: 7},
	"viduq3-turbo": {from: 3, to: 16, resolutions: "540p 720p 1080p", images: 7, imageSubjects: 7, offPeak: "nil true"},
	"viduq3":       {from: 3, to: 16, resolutions: "540p 720p 1080p", images: 7, imageSubjects: 7, offPeak: "nil true"},
	"viduq2-pro": {
		from: 1, to: 10, auto: true, resolutions: "540p 720p 1080p", images: 7, imagesWithVideos: 4,
		imageSubjects: 4, videoSubjects: 2, offPeak: "nil false",
	},
	"viduq2":  {from: 1, to: 10, resolutions: "540p 720p 1080p", images: 7, imageSubjects: 7, offPeak: "nil false"},
	"viduq1":  {only: []int{5}, resolutions: "1080p", images: 7, imageSubjects: 7, offPeak: "nil false"},
	"vidu2.0": {only: []int{4}, resolutions: "360p 720p", images: 7, imageSubjects: 7, offPeak: "nil false"},
	"vidu1.5": {only: []int{4, 8}, resolutions: "360p 720p 1080p", images: 3, offPeak: "nil true false"},

	"viduq9-unheard-of": {
		from: 1, to: anyNumber, auto: true, resolutions: "360p 540p 720p 1080p", images: anyNumber, imagesWithVideos: anyNumber,
		imageSubjects: anyNumber, videoSubjects: anyNumber, offPeak: "nil true false",
	},
}

// problemsOf are the fields that Validate complains about, each once.
func problemsOf(t *testing.T, req *vidu.Reference2VideoRequest) []string {
	t.Helper()
	return slices.Compact(slices.Sorted(slices.Values(problemFields(t, req.Validate()))))
}

// only is the list with field or, when it is allowed, the empty list.
func only(field string, allowed bool) []string {
	if allowed {
		return nil
	}
	return []string{field}
}

func imagesRequest(model vidu.Model, images int) *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{Model: model, Images: imageLinks(images), Prompt: "p"}
}

// subjectsRequest has subjects with images only and subjects with a video only.
func subjectsRequest(model vidu.Model, withImages, withVideos int) *vidu.Reference2VideoRequest {
	req := &vidu.Reference2VideoRequest{Model: model, Prompt: "p"}
	for i := range withImages {
		req.Subjects = append(req.Subjects, vidu.Subject{Name: fmt.Sprint("i", i), Images: imageLinks(1)})
	}
	for i := range withVideos {
		req.Subjects = append(req.Subjects, vidu.Subject{Name: fmt.Sprint("v", i), Videos: imageLinks(1)})
	}
	return req
}

func TestValidate_Models(t *testing.T) {
	t.Parallel()
	for model, doc := range documented {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			for d := vidu.AutoDuration; d <= 17; d++ {
				req := imagesRequest(model, 1)
				req.Duration = d
				allowed := d == 0 || slices.Contains(doc.only, d) || (d > 0 && d >= doc.from && d <= doc.to) || (d < 0 && doc.auto)
				assert.Equal(t, only("duration", allowed), problemsOf(t, req), "%d seconds", d)
			}
			for _, r := range []vidu.Resolution{"360p", "540p", "720p", "1080p"} {
				req := imagesRequest(model, 1)
				req.Resolution = r
				assert.Equal(t, only("resolution", strings.Contains(" "+doc.resolutions, " "+string(r))), problemsOf(t, req), r)
			}
			for n := 1; n <= 9; n++ {
				assert.Equal(t, only("images", n <= doc.images), problemsOf(t, imagesRequest(model, n)), "%d images", n)
			}
			for audio, value := range map[string]*bool{"nil": nil, "true": new(true), "false": new(false)} {
				req := imagesRequest(model, 1)
				req.OffPeak, req.Audio = true, value
				assert.Equal(t, only("off_peak", slices.Contains(strings.Fields(doc.offPeak), audio)), problemsOf(t, req), "audio %s", audio)
				req.OffPeak = false
				assert.Empty(t, problemsOf(t, req), "audio %s", audio)
			}
		})
	}
}

func TestValidate_Videos(t *testing.T) {
	t.Parallel()
	for model, doc := range documented {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			for images := 1; images <= 9; images++ {
				for videos := 1; videos <= 4; videos++ {
					req := imagesRequest(model, images)
					req.Videos = imageLinks(videos)
					got := problemsOf(t, req)
					if doc.imagesWithVideos == 0 {
						assert.Contains(t, got, "videos", "%d images, %d videos", images, videos)
						continue
					}
					want := only("images", images <= doc.imagesWithVideos)
					want = append(want, only("videos", videos <= 2 || doc.imagesWithVideos == anyNumber)...)
					assert.Equal(t, want, got, "%d images, %d videos", images, videos)
				}
			}
		})
	}
}

func TestValidate_Subjects(t *testing.T) {
	t.Parallel()
	for model, doc := range documented {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			for n := 1; n <= 9; n++ {
				assert.Equal(t, only("subjects", n <= doc.imageSubjects), problemsOf(t, subjectsRequest(model, n, 0)), "%d with images", n)
			}
			for n := 1; doc.videoSubjects > 0 && n <= 4; n++ {
				assert.Equal(t, only("subjects", n <= doc.videoSubjects), problemsOf(t, subjectsRequest(model, 4, n)), "4 with images, %d with videos", n)
			}
		})
	}
}

// subject is a request with one subject that lacks nothing, for edits.
func subject(edit func(*vidu.Subject)) func(*vidu.Reference2VideoRequest) {
	return func(req *vidu.Reference2VideoRequest) {
		s := vidu.Subject{Name: "hero", Images: imageLinks(1)}
		edit(&s)
		req.Images, req.Subjects = nil, []vidu.Subject{s}
	}
}

func TestValidate_Fields(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit func(req *vidu.Reference2VideoRequest) // of a valid request to viduq2-pro
		want []string
	}{
		"nothing":      {edit: func(req *vidu.Reference2VideoRequest) {}},
		"no model":     {edit: func(req *vidu.Reference2VideoRequest) { req.Model = "" }, want: []string{"model"}},
		"no images":    {edit: func(req *vidu.Reference2VideoRequest) { req.Images = nil }, want: []string{"images"}},
		"videos alone": {edit: func(req *vidu.Reference2VideoRequest) { req.Images, req.Videos = nil, imageLinks(1) }, want: []string{"images"}},
		"images and subjects": {edit: func(req *vidu.Reference2VideoRequest) {
			req.Subjects = []vidu.Subject{{Name: "a", Images: imageLinks(1)}}
		}, want: []string{"subjects"}},
		"duration below automatic":   {edit: func(req *vidu.Reference2VideoRequest) { req.Duration = -2 }, want: []string{"duration"}},
		"duration below, any model":  {edit: func(req *vidu.Reference2VideoRequest) { req.Model, req.Duration = "viduq9", -2 }, want: []string{"duration"}},
		"negative seed":              {edit: func(req *vidu.Reference2VideoRequest) { req.Seed = -1 }},
		"unheard-of resolution":      {edit: func(req *vidu.Reference2VideoRequest) { req.Resolution = "4k" }},
		"unheard-of ratio":           {edit: func(req *vidu.Reference2VideoRequest) { req.AspectRatio = "21:9" }},
		"unheard-of movement":        {edit: func(req *vidu.Reference2VideoRequest) { req.MovementAmplitude = "huge" }},
		"unheard-of audio type":      {edit: func(req *vidu.Reference2VideoRequest) { req.AudioType = "music_only" }},
		"prompt missing":             {edit: func(req *vidu.Reference2VideoRequest) { req.Prompt = "" }, want: []string{"prompt"}},
		"prompt of 5000":             {edit: func(req *vidu.Reference2VideoRequest) { req.Prompt = strings.Repeat("x", 5000) }},
		"prompt of 5001":             {edit: func(req *vidu.Reference2VideoRequest) { req.Prompt = strings.Repeat("x", 5001) }, want: []string{"prompt"}},
		"prompt of 5000 wide ones":   {edit: func(req *vidu.Reference2VideoRequest) { req.Prompt = strings.Repeat("参", 5000) }},
		"prompt of 5001 wide ones":   {edit: func(req *vidu.Reference2VideoRequest) { req.Prompt = strings.Repeat("参", 5001) }, want: []string{"prompt"}},
		"prompt that is not UTF-8":   {edit: func(req *vidu.Reference2VideoRequest) { req.Prompt = "\xff" }, want: []string{"prompt"}},
		"payload of 1048576":         {edit: func(req *vidu.Reference2VideoRequest) { req.Payload = strings.Repeat("x", 1048576) }},
		"payload of 1048577":         {edit: func(req *vidu.Reference2VideoRequest) { req.Payload = strings.Repeat("x", 1048577) }, want: []string{"payload"}},
		"payload of 1048576 wide":    {edit: func(req *vidu.Reference2VideoRequest) { req.Payload = strings.Repeat("参", 1048576) }},
		"payload of 1048577 wide":    {edit: func(req *vidu.Reference2VideoRequest) { req.Payload = strings.Repeat("参", 1048577) }, want: []string{"payload"}},
		"payload that is not UTF-8":  {edit: func(req *vidu.Reference2VideoRequest) { req.Payload = "job\xc3\x28" }, want: []string{"payload"}},
		"watermark at a corner":      {edit: func(req *vidu.Reference2VideoRequest) { req.WatermarkPosition = 4 }},
		"watermark somewhere new":    {edit: func(req *vidu.Reference2VideoRequest) { req.WatermarkPosition = 5 }},
		"watermark nowhere":          {edit: func(req *vidu.Reference2VideoRequest) { req.WatermarkPosition = -1 }, want: []string{"wm_position"}},
		"watermark by link":          {edit: func(req *vidu.Reference2VideoRequest) { req.WatermarkURL = imageLink }},
		"watermark by path":          {edit: func(req *vidu.Reference2VideoRequest) { req.WatermarkURL = "/mark.png" }, want: []string{"wm_url"}},
		"metadata":                   {edit: func(req *vidu.Reference2VideoRequest) { req.MetaData = `{"Label":"1"}` }},
		"metadata that is not JSON":  {edit: func(req *vidu.Reference2VideoRequest) { req.MetaData = `{Label:1}` }, want: []string{"meta_data"}},
		"callback":                   {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "https://example.com:8443/done?id=1" }},
		"callback, plain http":       {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "http://example.com/done" }},
		"callback, private":          {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "https://10.0.0.1/done" }},
		"callback, loopback":         {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "http://localhost:8080/done" }},
		"callback, relative":         {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "/done" }, want: []string{"callback_url"}},
		"callback, other scheme":     {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "ftp://example.com/done" }, want: []string{"callback_url"}},
		"callback, user name":        {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "https://me:pw@example.com/" }, want: []string{"callback_url"}},
		"callback, fragment":         {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "https://example.com/#x" }, want: []string{"callback_url"}},
		"callback, unparsable":       {edit: func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "https://exa mple.com/" }, want: []string{"callback_url"}},
		"subject":                    {edit: subject(func(s *vidu.Subject) {})},
		"subject, old id":            {edit: subject(func(s *vidu.Subject) { s.Name, s.ID = "", "hero" })},
		"subject, no name":           {edit: subject(func(s *vidu.Subject) { s.Name = "" }), want: []string{"subjects[0].name"}},
		"subject, no media":          {edit: subject(func(s *vidu.Subject) { s.Images = nil }), want: []string{"subjects[0].images"}},
		"subject, stored":            {edit: subject(func(s *vidu.Subject) { s.Images, s.ServerID = nil, "s1" })},
		"subject, 3 images":          {edit: subject(func(s *vidu.Subject) { s.Images = imageLinks(3) })},
		"subject, 4 images":          {edit: subject(func(s *vidu.Subject) { s.Images = imageLinks(4) }), want: []string{"subjects[0].images"}},
		"subject, 2 images, 1 video": {edit: subject(func(s *vidu.Subject) { s.Images, s.Videos = imageLinks(2), imageLinks(1) })},
		"subject, 3 images, 1 video": {edit: subject(func(s *vidu.Subject) { s.Images, s.Videos = imageLinks(3), imageLinks(1) }), want: []string{"subjects[0].images"}},
		"subject, 2 videos":          {edit: subject(func(s *vidu.Subject) { s.Videos = imageLinks(2) }), want: []string{"subjects[0].videos"}},
		"subject, bad link":          {edit: subject(func(s *vidu.Subject) { s.Images = []vidu.Media{vidu.URL("x")} }), want: []string{"subjects[0].images[0]"}},
		"subject, video, other model": {edit: func(req *vidu.Reference2VideoRequest) {
			subject(func(s *vidu.Subject) { s.Videos = imageLinks(1) })(req)
			req.Model = vidu.ModelQ2
		}, want: []string{"subjects[0].videos"}},
		"4 subjects with images, 2 with both": {edit: func(req *vidu.Reference2VideoRequest) {
			*req = *subjectsRequest(vidu.ModelQ2Pro, 4, 2)
			req.Subjects[5].Images = imageLinks(1)
		}},
		"everything at once": {
			edit: func(req *vidu.Reference2VideoRequest) {
				*req = vidu.Reference2VideoRequest{
					Model: vidu.ModelQ1, Images: append(imageLinks(8), vidu.URL("x")), Videos: imageLinks(1), Duration: 6, Resolution: "360p",
					WatermarkPosition: -1, WatermarkURL: "x", MetaData: "x", Payload: "\xff", CallbackURL: "x", OffPeak: true, Audio: new(true),
					Extra: map[string]any{"seed": 1},
				}
			},
			want: []string{
				"callback_url", "duration", "extra", "images", "images[8]", "meta_data", "off_peak", "payload", "prompt", "resolution",
				"videos", "wm_position", "wm_url",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := imagesRequest(vidu.ModelQ2Pro, 1)
			tt.edit(req)
			assert.Equal(t, tt.want, problemsOf(t, req))
		})
	}
}

// A reason says what would be right, too.
func TestValidate_Reasons(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit func(req *vidu.Reference2VideoRequest)
		want []string // parts of the reason
	}{
		"range of seconds": {func(req *vidu.Reference2VideoRequest) { req.Model, req.Duration = vidu.ModelQ2, 11 }, []string{"11 s", "1–10 s"}},
		"one length":       {func(req *vidu.Reference2VideoRequest) { req.Model, req.Duration = vidu.ModelQ1, 4 }, []string{"viduq1", "(5 s)"}},
		"two lengths":      {func(req *vidu.Reference2VideoRequest) { req.Model, req.Duration = vidu.Model15, 5 }, []string{"4 s or 8 s"}},
		"payload, in both": {func(req *vidu.Reference2VideoRequest) { req.Payload = strings.Repeat("参", 1048577) }, []string{"1048577 characters", "3145731 bytes", "1048576"}},
		"resolution":       {func(req *vidu.Reference2VideoRequest) { req.Model, req.Resolution = vidu.Model20, "1080p" }, []string{"1080p", "360p 720p"}},
		"prompt":           {func(req *vidu.Reference2VideoRequest) { req.Prompt = strings.Repeat("世", 5001) }, []string{"5001 characters"}},
		"no prompt":        {func(req *vidu.Reference2VideoRequest) { req.Prompt = "" }, []string{"is required"}},
		"no model":         {func(req *vidu.Reference2VideoRequest) { req.Model = "" }, []string{"is required"}},
		"images":           {func(req *vidu.Reference2VideoRequest) { req.Images = imageLinks(8) }, []string{"8 items"}},
		"body": {func(req *vidu.Reference2VideoRequest) {
			req.Images = []vidu.Media{vidu.Bytes(testkit.BigPNG(t, 16<<20))}
		}, []string{"at most 20971520"}},
		"extra":             {func(req *vidu.Reference2VideoRequest) { req.Extra = map[string]any{"Seed": 1} }, []string{"is a field of the request"}},
		"callback, user":    {func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "https://user:secret@example.com/" }, []string{"user name or password"}},
		"callback, mark":    {func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "https://example.com/#secret" }, []string{"fragment"}},
		"callback, scheme":  {func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "ftp://example.com/secret" }, []string{"absolute http or https URL"}},
		"callback, no URL":  {func(req *vidu.Reference2VideoRequest) { req.CallbackURL = "https://exa mple.com/%zz" }, []string{"absolute http or https URL"}},
		"off-peak by audio": {func(req *vidu.Reference2VideoRequest) { req.OffPeak, req.Audio = true, new(true) }, []string{"without audio"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := imagesRequest(vidu.ModelQ2Pro, 1)
			tt.edit(req)
			var invalid *vidu.ValidationError
			require.ErrorAs(t, req.Validate(), &invalid)
			require.Len(t, invalid.Problems, 1)
			for _, part := range tt.want {
				assert.Contains(t, invalid.Problems[0].Reason, part)
			}
			testkit.AssertHarmless(t, invalid)
			assert.NotContains(t, invalid.Error(), "secret")
		})
	}
}

func TestValidate_LocalImages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string, data []byte) string {
		full := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(full, data, 0o600))
		return full
	}
	loop := filepath.Join(dir, "loop.png")
	if os.Symlink(loop, loop) != nil {
		loop = filepath.Join(dir, "none.png") // where there are no links there are no loops
	}
	huge := path("huge.png", testkit.BigPNG(t, 4096))
	require.NoError(t, os.Truncate(huge, 51<<20))
	for name, tt := range map[string]struct{ file, says string }{
		"missing":   {filepath.Join(dir, "missing.png"), "missing.png"},
		"directory": {dir, "is not a regular file"},
		"device":    {os.DevNull, "is not a regular file"},
		"51 MB":     {huge, "at most 52428800 are allowed"},
		"loop":      {loop, filepath.Base(loop)},
		"empty":     {path("empty.png", nil), "is empty"},
		"no image":  {path("text.png", []byte("hello")), "is text/plain"},
		"no name":   {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := smallRequest()
			req.Images = []vidu.Media{vidu.File(tt.file)}
			err := req.Validate()
			assert.Equal(t, []string{"images[0]"}, problemFields(t, err))
			require.ErrorContains(t, err, tt.says)
		})
	}
}

// What encoding/json would change in silence is not sent: it has a name.
func TestValidate_NotUTF8(t *testing.T) {
	t.Parallel()
	const latin1 = "caf\xe9"
	links := imageLinks(1)
	for field, req := range map[string]*vidu.Reference2VideoRequest{
		"prompt":                {Model: "m", Images: links, Prompt: latin1},
		"payload":               {Model: "m", Images: links, Prompt: "p", Payload: "\xed\xa0\x80"}, // half a surrogate pair
		"model":                 {Model: latin1, Images: links, Prompt: "p"},
		"audio_type":            {Model: "m", Images: links, Prompt: "p", AudioType: latin1},
		"meta_data":             {Model: "m", Images: links, Prompt: "p", MetaData: `"` + latin1 + `"`},
		"images[0]":             {Model: "m", Images: []vidu.Media{vidu.URL("https://h/" + latin1)}, Prompt: "p"},
		"sounds[1]":             {Model: "m", Images: links, Prompt: "p", Sounds: []vidu.Media{vidu.URL("https://h"), vidu.UploadRef("ssupload:?id=" + latin1)}},
		"subjects[1].name":      {Model: "m", Prompt: "p", Subjects: []vidu.Subject{{Name: "a", Images: links}, {Name: latin1, Images: links}}},
		"subjects[0].voice_id":  {Model: "m", Prompt: "p", Subjects: []vidu.Subject{{Name: "a", Images: links, VoiceID: latin1}}},
		"subjects[0].videos[0]": {Model: "m", Prompt: "p", Subjects: []vidu.Subject{{Name: "a", Videos: []vidu.Media{vidu.URL("https://h/" + latin1)}}}},
		"subjects[0].extra.x":   {Model: "m", Prompt: "p", Subjects: []vidu.Subject{{Name: "a", Images: links, Extra: map[string]any{"x": latin1}}}},
		"extra.x[1].y":          {Model: "m", Images: links, Prompt: "p", Extra: map[string]any{"x": []any{1, map[string]any{"y": latin1}}}},
		"extra":                 {Model: "m", Images: links, Prompt: "p", Extra: map[string]any{latin1: 1}},
	} {
		err := req.Validate()
		var invalid *vidu.ValidationError
		require.ErrorAs(t, err, &invalid, field)
		assert.Equal(t, []vidu.FieldProblem{{Field: field, Reason: "is not valid UTF-8"}}, invalid.Problems)
	}
	req := &vidu.Reference2VideoRequest{Model: "m", Images: links, Prompt: "\uFFFD " + `\ufffd`, Payload: `\ufffd`}
	require.NoError(t, req.Validate(), "the character itself")
	req.Prompt, req.Payload = "\xff", "\xff"
	assert.Equal(t, []string{"prompt", "payload"}, problemFields(t, req.Validate()))
}
