# What the maintainer scripts share; the build puts it at the top of each.
PROGRAM=/usr/lib/firewall-drop/firewall-drop
RESPONSES=/var/ossec/active-response/bin
NAMES='firewall-drop firewall-drop.sh'
