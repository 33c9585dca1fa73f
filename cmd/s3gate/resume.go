package main

import (
	"errors"
	"fmt"
	"net/http"
)

// resumable uploads a file so that it can be taken up again, by this run and
// the next. It returns the last answer.
func (p *putter) resumable(u *upload, path string) (http.Header, error) {
	s, err := openSession(p.link, path, u.filename())
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("another process is uploading %s through this link", path)
	}
	if err != nil {
		p.wait.say("if this is interrupted it has to begin anew: %v", err)
	}
	defer s.Close()
	if err := p.start(u, s); err != nil {
		return nil, fmt.Errorf("%w%s", reason(err), s.next())
	}
	u.show = p.show(u.source.size - u.resumed)
	defer u.show.done()
	err = u.send()
	if gone(err) {
		err = p.again(u, s)
	}
	if err != nil {
		return nil, p.broken(u, s, err)
	}
	s.forget()
	return u.last, nil
}

// start goes on with the upload of an earlier run, or begins one.
func (p *putter) start(u *upload, s *session) error {
	if s == nil || s.Upload == "" {
		return p.begin(u, s)
	}
	u.name = s.Upload
	if p.anew || !s.of(u.source) {
		if !p.anew {
			p.wait.say("the file has changed: beginning anew")
		}
		if err := u.try(u.end); err != nil { // else it could hold the link's only use
			return err
		}
		return p.begin(u, s)
	}
	err := u.try(u.locate)
	if gone(err) {
		p.wait.say("the server has forgotten what an earlier run had sent: beginning anew")
		return p.begin(u, s)
	}
	if err != nil {
		return err
	}
	u.resumed = u.offset
	p.wait.say("going on after %d of %d bytes", u.offset, u.source.size)
	return s.keep(u.name, u.source, u.expires)
}

// begin begins an upload that the next run can go on with.
func (p *putter) begin(u *upload, s *session) error {
	s.forget()
	if err := u.try(func() error { return u.begin(p.media) }); err != nil {
		return err
	}
	if err := s.keep(u.name, u.source, u.expires); err != nil {
		s.forget()
		p.wait.say("if this is interrupted it has to begin anew: %v", err)
	}
	return nil
}

// again begins anew, once, after the server has forgotten the upload. If it had
// every byte it may have stored them.
func (p *putter) again(u *upload, s *session) error {
	s.forget()
	if u.sent {
		return errLost
	}
	u.resumed = 0
	if err := p.begin(u, s); err != nil {
		return err
	}
	p.wait.say("the server has forgotten the upload: begun anew")
	return u.send()
}

// broken says what becomes of an upload that has broken off.
func (p *putter) broken(u *upload, s *session, err error) error {
	next := ""
	switch {
	case errors.Is(err, errSourceChanged):
		s.forget()
		next = "; nothing is stored"
	case gone(err):
		s.forget()
	case s != nil && s.Upload != "":
		_ = s.keep(u.name, u.source, u.expires)
		next = s.next()
	}
	return fmt.Errorf("upload broke off: %w%s", reason(err), next)
}
