// Where our configuration is, and how large a file of configuration may be.
export const CONFIG_FILE = '/etc/firewall-drop/config.toml';
export const LARGEST_FILE = 1024 * 1024;
