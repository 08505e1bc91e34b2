"""Client: how does a library behind a server look like one in a directory?"""
