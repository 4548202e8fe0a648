"""What a data set says about a design choice: tables that papers print, rerun on any built set."""
