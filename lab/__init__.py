"""A test lab that shows how dynamic routing behaves over OpenVPN."""
