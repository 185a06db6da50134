"""What is told of connections?

`connection_facts` has what is known of one, as JSON and as lines. `event_log` writes a line for
each event of a server's connections, `transcript` a line for each segment.
"""
