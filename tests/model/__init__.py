"""What the service must do, said a second time and more simply, to hold it against."""
