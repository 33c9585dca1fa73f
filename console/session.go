package console

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"s3gate/auth"
	"s3gate/web"
)

const (
	signInPath = Path + "/sign-in"
	// maxCookie is what browsers keep of a cookie, with its name and attributes, and
	// so bounds the JWT (RFC 6265, section 6.1).
	maxCookie = 4096
	room      = 200
)

// session is somebody who has signed in.
type session struct {
	caller auth.Caller
	jwt    string
	until  time.Time
}

// cookie is that of the session, without a value. Over TLS a browser takes one of
// this name from no other host and for no other path, so nobody can make a browser
// use a session that is not its own (RFC 6265bis, section 4.1.3.2).
func cookie(r *http.Request) http.Cookie {
	c := http.Cookie{Name: "s3gate-console", Path: Path, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if secure(r) {
		c.Name, c.Path, c.Secure = "__Host-s3gate-console", "/", true
	}
	return c
}

// secure reports whether the browser speaks TLS. What the first of several proxies
// says of that is believed: who makes it up weakens their own session only.
func secure(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return r.TLS != nil || strings.EqualFold(strings.TrimSpace(first), "https")
}

// session returns that of a request; nil if it has none, and had says that it has
// had one, which is over. The cookie is when the session ends, in seconds, and
// the JWT, which is held against the keys each time.
func (h *Handler) session(r *http.Request) (s *session, had bool) {
	c, err := r.Cookie(cookie(r).Name)
	if err != nil {
		return nil, false
	}
	end, jwt, _ := strings.Cut(c.Value, ".")
	seconds, err := strconv.ParseInt(end, 10, 64)
	now := h.cfg.Clock()
	// Whoever moves the end away has the JWT, and could sign in again as well.
	if until := time.Unix(seconds, 0); err != nil || !now.Before(until) || until.Sub(now) > h.cfg.Session {
		return nil, true
	}
	caller, until, err := h.cfg.Prove(jwt)
	if err != nil {
		return nil, true
	}
	return &session{caller, jwt, earlier(until, time.Unix(seconds, 0))}, true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// askJWT answers with the page on which one signs in.
func (h *Handler) askJWT(w http.ResponseWriter, r *http.Request) {
	p := web.SignInPage{Next: h.next(r.URL.Query().Get("next"))}
	if r.URL.Query().Get("over") != "" {
		p.Problem = web.SessionOver
	}
	h.send(w, r, http.StatusOK, web.SignIn(look(r), p))
}

// next is where to go after the sign-in: a view, and nothing else.
func (h *Handler) next(wish string) string {
	if u, err := url.Parse(wish); err == nil && u.Host == "" && strings.HasPrefix(wish, Path+"/") && isPlain(u.Path) {
		for _, view := range web.ConsoleViews() {
			if rest, ok := strings.CutPrefix(u.Path, Path+"/"+view); ok && (rest == "" || rest[0] == '/') {
				return wish
			}
		}
	}
	return Path + "/" + web.ConsoleViews()[0]
}

// isPlain reports whether a path leads where it seems to: browsers go up at "..",
// and take a backslash for a slash.
func isPlain(p string) bool { return path.Clean(p) == p && !strings.ContainsRune(p, '\\') }

// signIn begins a session with the JWT of the form.
func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	jwt := bare(r.PostFormValue("jwt"))
	p := web.SignInPage{Next: h.next(r.PostFormValue("next"))}
	caller, until, err := h.cfg.Prove(jwt)
	status := http.StatusUnauthorized
	switch {
	case errors.Is(err, auth.ErrUnavailable):
		p.Problem, status = web.JWTUnproven, http.StatusServiceUnavailable
	case err != nil:
		p.Problem = web.JWTRefused
	case len(jwt) > maxCookie-room:
		p.Problem, status = web.JWTTooLong, http.StatusRequestEntityTooLarge
	}
	if p.Problem != web.NoProblem {
		h.cfg.Logger.Info("console sign-in refused", "err", err)
		h.send(w, r, status, web.SignIn(look(r), p))
		return
	}
	now := h.cfg.Clock()
	until = earlier(until, now.Add(h.cfg.Session))
	h.setCookie(w, r, strconv.FormatInt(until.Unix(), 10)+"."+jwt, max(1, int(until.Sub(now).Seconds())))
	h.cfg.Logger.Info("console sign-in", "iss", caller.Issuer, "sub", caller.Subject, "until", until.UTC())
	http.Redirect(w, r, p.Next, http.StatusSeeOther)
}

// bare is a JWT as people paste it, without what stands around it.
func bare(pasted string) string {
	text := strings.Trim(strings.Join(strings.Fields(pasted), " "), `"'`)
	if scheme, rest, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
		text = rest
	}
	return strings.ReplaceAll(text, " ", "") // lines that a terminal has broken
}

// signOut ends the session, in this browser: the JWT stays what it is.
func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) {
	h.setCookie(w, r, "", -1)
	http.Redirect(w, r, signInPath, http.StatusSeeOther)
}

func (h *Handler) setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	c := cookie(r)
	c.Value, c.MaxAge = value, maxAge
	http.SetCookie(w, &c)
}

// alive says whether there is a session.
func (h *Handler) alive(w http.ResponseWriter, r *http.Request) {
	if s, _ := h.session(r); s == nil {
		refuse(w, http.StatusUnauthorized, "There is no session, or it is over.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
