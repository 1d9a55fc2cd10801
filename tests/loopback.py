"""Requests to servers on this machine, whatever proxy the environment names."""

import requests

_session = requests.Session()
_session.trust_env = False
get, post = _session.get, _session.post
