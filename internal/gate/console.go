package gate

import (
	"net/http"
	"time"

	"s3gate/auth"
	"s3gate/console"
)

// withConsole puts the console beside the API, if it is to be there.
func (g *Gate) withConsole(api http.Handler) http.Handler {
	if !g.cfg.API.Console {
		return api
	}
	page := console.New(console.Config{API: api, Prove: g.live.prove, Session: g.cfg.API.ConsoleSession, Logger: g.logger})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if console.Has(r.URL.Path) {
			page.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// prove says whose a JWT is and until when, by the verifier that counts at the
// moment.
func (l *live) prove(bearer string) (auth.Caller, time.Time, error) {
	ex := l.verifier.Load().Explain(bearer)
	return ex.Caller, ex.Until, ex.Err()
}
