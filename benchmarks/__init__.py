"""How fast, how small and how exact is Nearrow beside its peers, on one machine, in one run?"""
