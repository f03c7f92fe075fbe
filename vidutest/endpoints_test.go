package vidutest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// saidInFull are the fields that the published contract wants of every create.
const saidInFull = `"duration":5,"seed":0,"resolution":"720p","movement_amplitude":"auto","off_peak":false`

// goodBodies are the smallest creates that a gateway accepts, by endpoint.
var goodBodies = map[string]string{
	"reference2video": goodBody,
	"text2video":      `{"model":"viduq2","prompt":"p",` + saidInFull + `}`,
	"img2video":       `{"model":"viduq2-pro","images":["https://a.example/1"],` + saidInFull + `}`,
	"start-end2video": `{"model":"viduq2-pro","images":["https://a.example/1","https://a.example/2"],` + saidInFull + `}`,
}

func createAt(t *testing.T, s *vidutest.Server, endpoint, body string) reply {
	t.Helper()
	return do(s, newRequest(t, http.MethodPost, s.URL+"/vidu/v2/"+endpoint, strings.NewReader(body)))
}

// edit returns body with some fields replaced, added or, by nil, removed.
func edit(t *testing.T, body string, fields map[string]any) string {
	t.Helper()
	all := decode(t, body)
	maps.Copy(all, fields)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return string(encode(t, all))
}

func TestCreate_EveryEndpoint(t *testing.T) {
	t.Parallel()
	for endpoint, taskType := range map[string]string{
		"reference2video": "img2video", "text2video": "text2video", "img2video": "img2video", "start-end2video": "headtailimg2video",
	} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0))
			defer s.Close()

			got := createAt(t, s, endpoint, goodBodies[endpoint])
			require.Equal(t, http.StatusOK, got.status, got.body)
			fields := decode(t, got.body)
			assert.Equal(t, taskType, fields["type"])
			assert.Equal(t, "success", decode(t, query(t, s, fields["task_id"].(string)).body)["state"])
			assert.Equal(t, 1, s.Charged())
			requests := s.Requests()
			assert.Equal(t, endpoint, requests[0].Endpoint)
			assert.Empty(t, requests[1].Endpoint, "a query is no create")
		})
	}
}

func TestCreate_EndpointsHaveTheirOwnFields(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"aspect_ratio": "1:1", "style": "anime", "is_rec": true, "voice_id": "v", "audio_type": "all", "prompt": "p",
		"subjects": []any{map[string]any{"name": "a", "server_id": "1"}}, "auto_subjects": true,
		"videos": []string{"https://a.example/1.mp4"}, "sounds": []string{"https://a.example/1.mp3"},
		"images": []string{"https://a.example/1"}, "enhance": true,
	}
	for endpoint, has := range map[string][]string{
		"reference2video": {"images", "prompt", "aspect_ratio", "audio_type", "subjects", "videos", "sounds", "auto_subjects"},
		"text2video":      {"prompt", "aspect_ratio", "style"},
		"img2video":       {"images", "prompt", "is_rec", "voice_id", "audio_type"},
		"start-end2video": {"prompt", "is_rec"},
	} {
		for name, value := range values {
			if endpoint == "start-end2video" && name == "images" {
				continue // it wants two
			}
			t.Run(endpoint+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := vidutest.NewServer(vidutest.InMemory())
				defer s.Close()
				fields := map[string]any{name: value}
				if name == "subjects" && endpoint == "reference2video" {
					fields["images"] = nil
				}
				body := edit(t, goodBodies[endpoint], fields)
				got := createAt(t, s, endpoint, body)
				if slices.Contains(has, name) {
					assert.Equal(t, http.StatusOK, got.status, got.body)
					return
				}
				assertRefused(t, got, http.StatusBadRequest, "FieldUnwanted", endpoint+" has no field "+name)
				assert.Zero(t, s.Charged())

				lenient := vidutest.NewServer(vidutest.InMemory(), vidutest.WithUnknownFields())
				defer lenient.Close()
				assert.Equal(t, http.StatusOK, createAt(t, lenient, endpoint, body).status)
			})
		}
	}
}

func TestCreate_EndpointsRequireTheirOwnFields(t *testing.T) {
	t.Parallel()
	inFull := []string{"duration", "seed", "resolution", "movement_amplitude", "off_peak"}
	for endpoint, required := range map[string][]string{
		"reference2video": {"model", "images", "prompt"},
		"text2video":      {"model", "prompt"},
		"img2video":       {"model", "images"},
		"start-end2video": {"model", "images"},
	} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			gateway, official := vidutest.NewServer(vidutest.InMemory()), vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
			defer gateway.Close()
			defer official.Close()
			for name := range decode(t, goodBodies[endpoint]) {
				body := edit(t, goodBodies[endpoint], map[string]any{name: nil})
				assertRefused(t, createAt(t, gateway, endpoint, body), http.StatusBadRequest, "FieldLacking", name)

				req := newRequest(t, http.MethodPost, official.URL+"/ent/v2/"+endpoint, strings.NewReader(body))
				req.Header.Set("Authorization", "Token "+vidutest.APIKey)
				got := do(official, req)
				assert.Equal(t, slices.Contains(inFull, name), got.status == http.StatusOK, "%s: %s", name, got.body)
				assert.Equal(t, slices.Contains(required, name), got.status == http.StatusBadRequest, "%s: %s", name, got.body)
			}
		})
	}
}

func TestCreate_EndpointsCountImages(t *testing.T) {
	t.Parallel()
	for endpoint, test := range map[string]struct {
		least, most int
		says        string
	}{
		"reference2video": {1, 15, "1 to 15 are allowed"},
		"img2video":       {1, 1, "exactly 1"},
		"start-end2video": {2, 2, "exactly 2"},
	} {
		for n := range 17 {
			t.Run(endpoint+"/"+strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				s := vidutest.NewServer(vidutest.InMemory())
				defer s.Close()
				got := createAt(t, s, endpoint, edit(t, goodBodies[endpoint], map[string]any{
					"images": json.RawMessage(items(t, n)), "model": "viduq4-preview",
				}))
				if test.least <= n && n <= test.most {
					assert.Equal(t, http.StatusOK, got.status, got.body)
					return
				}
				assertRefused(t, got, http.StatusBadRequest, "FieldItemCountOutOfRange", test.says)
			})
		}
	}
}

func TestCreate_RepeatsWhatItsEndpointHas(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		endpoint string
		set      map[string]any
		reply    string
		want     any
	}{
		"style":        {"text2video", map[string]any{"style": "anime"}, "style", "anime"},
		"no style":     {"img2video", nil, "style", "general"},
		"is_rec":       {"img2video", map[string]any{"is_rec": true}, "is_rec", true},
		"is_rec costs": {"start-end2video", map[string]any{"is_rec": true}, "credits", 65.0},
		"no images":    {"text2video", nil, "images", []any{}},
		"empty prompt": {"img2video", map[string]any{"prompt": ""}, "prompt", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()
			got := createAt(t, s, test.endpoint, edit(t, goodBodies[test.endpoint], test.set))
			require.Equal(t, http.StatusOK, got.status, got.body)
			assert.Equal(t, test.want, decode(t, got.body)[test.reply])
		})
	}
}

func TestWithEndpoint(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithEndpoint("ads/one-click"), vidutest.WithEndpoint("upscale-new"),
		vidutest.WithRefusedWord("forbidden", "TaskPromptPolicyViolation"), vidutest.WithOfficialAPI(), vidutest.WithTiming(0, 0))
	defer s.Close()
	send := func(endpoint, body string) reply {
		req := newRequest(t, http.MethodPost, s.URL+"/ent/v2/"+endpoint, strings.NewReader(body))
		req.Header.Set("Authorization", "Token "+vidutest.APIKey)
		return do(s, req)
	}
	for _, body := range []string{
		`{}`, `{"anything":[{"deep":"data:image/png;base64,AAAA"}]}`, `{"images":["data:"],"prompt":7,"wm_position":"top_left","duration":-3}`,
	} {
		got := send("ads/one-click", body)
		require.Equal(t, http.StatusOK, got.status, got.body)
		assert.Equal(t, "ads/one-click", decode(t, got.body)["type"])
	}
	got := send("upscale-new", `{"payload":"job-7","duration":8,"video_url":"https://a.example/1.mp4"}`)
	fields := decode(t, got.body)
	assert.Equal(t, "job-7", fields["payload"])
	assert.Equal(t, 88.0, fields["credits"]) //nolint:testifylint // a whole number
	assert.Equal(t, 4, s.Charged())
	assert.Equal(t, "upscale-new", s.Requests()[3].Endpoint)

	assertRefused(t, send("upscale-new", `[]`), http.StatusBadRequest, "BadRequest", "not one JSON object")
	assertRefused(t, send("upscale-new", `{"prompt":"forbidden"}`), http.StatusBadRequest, "TaskPromptPolicyViolation", "moderation")
	assertRefused(t, send("lip-sync", `{}`), http.StatusNotFound, "NotFound", "no endpoint at")
	assert.Equal(t, 4, s.Charged())
}

// Scripts that wait for a create take any of them.
func TestWithEndpoint_Scripts(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"text2video", "img2video", "start-end2video", "lip-sync"} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithEndpoint("lip-sync"))
			defer s.Close()
			s.DropReplyAfterCommit()
			assert.Equal(t, http.StatusNotFound, query(t, s, "1").status, "a query leaves the script alone")
			body := goodBodies[endpoint]
			if body == "" {
				body = "{}"
			}
			require.Error(t, createAt(t, s, endpoint, body).err)
			assert.Equal(t, 1, s.Charged())
		})
	}
}

func TestWithEndpoint_KeepsTheRulesOfOthers(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithEndpoint("img2video"))
	defer s.Close()
	assertRefused(t, createAt(t, s, "img2video", `{}`), http.StatusBadRequest, "FieldLacking", "model")
}

func TestWithEndpoint_WrongName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a b", "a?b", "a*", "[a]", "%41", "http://a"} {
		assert.Panics(t, func() { vidutest.WithEndpoint(name) }, name)
	}
}
