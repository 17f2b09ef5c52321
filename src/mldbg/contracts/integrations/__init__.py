"""Callbacks for the training loops of others. Each module needs the library that it is named after."""
