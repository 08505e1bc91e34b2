"""Server: what does a library behind a server cost, against the same library in this process and a bare Flight server?"""
