"""The slide viewer: patients, their pages and their slides in a browser, on this machine alone."""
